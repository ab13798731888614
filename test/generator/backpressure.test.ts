import t from 'tap'
import { reasonToWait } from '../../generator/backpressure.ts'
import { Pacer } from '../../generator/pacing.ts'

const MIB = 2 ** 20
const limits = {
  ...{ backlogFilesMax: 8, backlogBytesMax: 100 * MIB },
  ...{ reserveBytes: 256 * MIB, reserveInodes: 1_000 },
}
const room = {
  unsettledFiles: 7,
  unsettledBytes: 100 * MIB - 1,
  connected: true,
  freeBytes: 320 * MIB,
  freeInodes: 1_000,
  nextBytes: 64 * MIB,
  directory: '/state/inbox',
}

t.test('a file waits for the parser and for the disk, with a sentence', async t => {
  t.equal(reasonToWait(room, limits), undefined, 'up to the limits it does not')
  t.same(reasonToWait({ ...room, unsettledFiles: 8, unsettledBytes: 5 * MIB }, limits), {
    kind: 'unsettled',
    text: 'waiting: 8 files are published and not yet settled (5.0 MiB)',
  })
  t.same(reasonToWait({ ...room, unsettledFiles: 1, unsettledBytes: 100 * MIB }, limits), {
    kind: 'unsettled',
    text: 'waiting: 1 file is published and not yet settled (100 MiB)',
  })
  t.match(reasonToWait({ ...room, unsettledFiles: 8, connected: false }, limits), {
    kind: 'disconnected',
    text: /not yet settled \(.*\); the parser is not connected$/,
  })
  t.same(reasonToWait({ ...room, freeBytes: 120 * MIB }, limits), {
    kind: 'disk',
    text: 'waiting: 120 MiB free on /state/inbox, 320 MiB wanted',
  })
  t.same(reasonToWait({ ...room, freeInodes: 999 }, limits), {
    kind: 'inodes',
    text: 'waiting: 999 inodes free on /state/inbox, 1 000 wanted',
  })
  const limitless = { ...room, freeInodes: Number.POSITIVE_INFINITY }
  t.equal(reasonToWait(limitless, limits), undefined, 'a filesystem that counts no inodes')
})

t.test('a rate is kept, and an abort ends the wait', async t => {
  const { signal } = new AbortController()
  const pacer = new Pacer(100_000)
  t.equal(pacer.sliceBytes, 10_000)
  const startedAtMs = performance.now()
  for (let i = 0; i < 3; i += 1) await pacer.take(10_000, signal)
  t.ok(performance.now() - startedAtMs > 295)
  const abort = new AbortController()
  const long = pacer.take(10 ** 12, abort.signal)
  abort.abort()
  await long
})

t.test('slices are neither tiny nor huge, whatever the rate', async t => {
  t.equal(new Pacer(1).sliceBytes, 4_096)
  t.equal(new Pacer(2 ** 40).sliceBytes, 256 * 1_024)
})
