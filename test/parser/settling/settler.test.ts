import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { QueueEntry } from '../../../parser/facts.ts'
import { Unmoved } from '../../../parser/settling/unmoved.ts'
import { archivedName } from '../../../shared/archive.ts'
import { settledName, workName } from '../../../shared/paths.ts'
import { eventually, failureOf } from '../../shared/helpers.ts'
import { digestOf, entryOf, hashOf } from '../journal/helpers.ts'
import { ofItsDay, settlerScene } from './settler-scene.ts'

t.test('each outcome has its place, under a name that carries the hash', async t => {
  const { paths, journal, queue, settler, told, claimed } = await settlerScene(t)
  const cases = [
    [claimed(1), 'applied', paths.archive],
    [claimed(2, { disposable: true }), 'applied', paths.archiveDisposable],
    [claimed(3), 'duplicate', paths.duplicate],
    [claimed(4, { disposable: true }), 'quarantined', paths.quarantine],
  ] as const
  for (const [entry, outcome, directory] of cases) {
    await settler.settle([{ entry, outcome, digest: digestOf('x') }])
    const left = journal.queued(entry.sequence)!
    t.match(left, { stage: 'settling', outcome })
    const path = outcome === 'applied' ? ofItsDay(left) : settledName(entry.name, hashOf('x'))
    t.equal(readFileSync(join(directory, path), 'utf8'), '1 2\n', outcome)
  }
  t.same(readdirSync(paths.work), [], 'the manifests are gone')
  t.same([queue.files, queue.bytes], [0, 0])
  t.same(told, [
    ['f1', 1],
    ['f2', 2],
    ['f3', 3],
    ['f4', 4],
  ])
  t.match(journal.ever, { applied: 2, duplicate: 1, quarantined: 1 })
})

t.test('a quarantined file has a sidecar that says why', async t => {
  const { paths, settler, claimed, journal } = await settlerScene(t)
  const expected = { sha256: 'ab'.repeat(32), sizeBytes: 9, lines: 3, amount: 2n ** 100n }
  const reason = `BAD: ${'r'.repeat(400)}`
  await settler.settle([
    {
      ...{ entry: claimed(1, { name: 'ü', expected }), outcome: 'quarantined' },
      ...{ digest: digestOf('x'), reason, evidence: { line: 7, firstBytesHex: '00ff' } },
    },
  ])
  const sidecar = join(paths.quarantine, `${settledName('ü', hashOf('x'))}.reason.json`)
  t.match(JSON.parse(readFileSync(sidecar, 'utf8')), {
    ...{ name: 'ü', sha256: hashOf('x').toString('hex'), size: 10, reason, line: 7 },
    ...{ firstBytesHex: '00ff', manifest: { ...expected, amount: String(2n ** 100n) } },
    claimedAt: '2023-11-14T22:13:20.000Z',
  })
  t.equal(journal.processed(1)?.reason?.length, 300, 'the journal keeps a bounded one')
})

t.test('nothing is overwritten, whatever name and content', async t => {
  const { paths, settler, claimed } = await settlerScene(t)
  for (const [sequence, text] of [
    [1, 'x'],
    [2, 'y'],
    [3, 'y'],
  ] as const) {
    const entry = claimed(sequence, { name: 'same' })
    await settler.settle([{ entry, outcome: 'quarantined', digest: digestOf(text), reason: 'r' }])
  }
  const names = readdirSync(paths.quarantine).sort()
  t.same(
    names.filter(name => !name.endsWith('.json')),
    [
      settledName('same', hashOf('x')),
      settledName('same', hashOf('y')),
      settledName('same', hashOf('y'), 3),
    ].sort(),
  )
  t.equal(names.filter(name => name.endsWith('.reason.json')).length, 3, 'each has its sidecar')
})

t.test('one file under several names is settled once for each, and leaves work/', async t => {
  const { paths, settler, claimed } = await settlerScene(t)
  const mine = join(paths.dir, 'mine')
  writeFileSync(mine, '1 2\n')
  for (const [sequence, outcome] of [
    ...([1, 2, 3].map(i => [i, 'duplicate']) as [number, 'duplicate'][]),
    ...([4, 5].map(i => [i, 'quarantined']) as [number, 'quarantined'][]),
  ]) {
    const entry = claimed(sequence, { name: 'same' })
    const path = join(paths.work, workName(sequence, 'same'))
    rmSync(path)
    linkSync(mine, path)
    await settler.settle([{ entry, outcome, digest: digestOf('x'), reason: 'r' }])
    t.same(readdirSync(paths.work), [], `${outcome} ${sequence}`)
  }
  t.same(readdirSync(paths.duplicate), [settledName('same', hashOf('x'))])
  t.ok(existsSync(mine))
})

t.test('what cannot be moved stays, is told once, holds up nobody, and is tried again', async t => {
  const { paths, settler, claimed, log, queue, journal } = await settlerScene(t)
  const blocks = [undefined, 1].map(sequence =>
    join(paths.duplicate, settledName('f1', hashOf('x'), sequence)),
  )
  for (const path of blocks) writeFileSync(path, 'of somebody')
  const endings = [claimed(1), claimed(2)].map(entry => ({
    ...{ entry, outcome: 'duplicate' as const, digest: digestOf('x') },
  }))
  await settler.settle(endings)
  t.ok(existsSync(join(paths.duplicate, settledName('f2', hashOf('x')))))
  t.same(
    readdirSync(paths.work).filter(name => !name.endsWith('.json')),
    [workName(1, 'f1')],
  )
  t.match(settler.unmoved, { files: 1, first: [{ name: 'f1', why: /taken/ }] })
  t.equal(queue.files, 0, 'nothing is to be done for it')
  const left = journal.queued(1)!
  await settler.move([left])
  t.equal(log.warnedOf().filter(name => name === 'f1').length, 1)
  for (const path of blocks) t.equal(readFileSync(path, 'utf8'), 'of somebody')
  rmSync(blocks[0]!)
  await settler.move([left])
  t.same([settler.unmoved, readdirSync(paths.work)], [undefined, []])
})

t.test('of very many that cannot be moved none is forgotten', async t => {
  const { log } = await settlerScene(t)
  const unmoved = new Unmoved(log)
  const entries = Array.from({ length: 1_500 }, (_, i) => entryOf(i, { stage: 'settling' }))
  for (const entry of entries) unmoved.add(entry, 'no way')
  const isMovable = (entry: QueueEntry): boolean => entry.sequence !== 7 && entry.sequence !== 1_400
  const left = new Set(entries)
  const tryAgain = () =>
    unmoved.tryAgain(
      async some => {
        for (const entry of some) {
          if (!isMovable(entry)) unmoved.add(entry, 'no way')
          else if (left.delete(entry)) unmoved.remove(entry.sequence)
        }
      },
      async function* () {
        yield [...left, entryOf(2_000)]
      },
    )
  await tryAgain()
  t.same(
    [...left].map(({ sequence }) => sequence),
    [7, 1_400],
  )
  t.match(unmoved.report, { files: 2, first: [{ name: 'f7' }, { name: 'f1400' }] })
  await tryAgain()
  t.equal(unmoved.report?.files, 2)
})

t.test(
  'a directory that is gone is made again, another thing in its place is waited for',
  async t => {
    const { paths, settler, claimed, directories, log } = await settlerScene(t)
    const ending = (sequence: number) => ({
      ...{ entry: claimed(sequence), outcome: 'duplicate' as const, digest: digestOf('x') },
    })
    rmdirSync(paths.duplicate)
    await settler.settle([ending(1)])
    t.ok(existsSync(join(paths.duplicate, settledName('f1', hashOf('x')))))
    rmSync(paths.duplicate, { recursive: true })
    writeFileSync(paths.duplicate, '')
    const settling = settler.settle([ending(2)])
    await eventually('it says what it waits for', () => directories.reason !== undefined)
    t.match(directories.reason, /duplicate is not a directory/)
    rmSync(paths.duplicate)
    mkdirSync(paths.duplicate)
    await settling
    t.same(readdirSync(paths.duplicate), [settledName('f2', hashOf('x'))])
    t.equal(log.lines.filter(({ level }) => level === 'error').length, 1)
  },
)

t.test('a sidecar that cannot be written holds its own file, and both are tried again', async t => {
  const { paths, settler, claimed, log, journal } = await settlerScene(t)
  const name = settledName('f1', hashOf('x'))
  const inTheWay = join(paths.quarantine, `.${name}.reason.json.tmp`)
  mkdirSync(inTheWay)
  const endings = [claimed(1), claimed(2)].map(entry => ({
    ...{ entry, outcome: 'quarantined' as const, digest: digestOf('x'), reason: 'r' },
  }))
  await settler.settle(endings)
  t.match(settler.unmoved, { files: 1, first: [{ name: 'f1', why: /sidecar .* EISDIR/ }] })
  t.same(
    readdirSync(paths.work).filter(one => !one.endsWith('.json')),
    [workName(1, 'f1')],
  )
  t.match(journal.processed(1), { outcome: 'quarantined', reason: 'r' }, 'its outcome stands')
  t.ok(existsSync(join(paths.quarantine, settledName('f2', hashOf('x')))))
  rmdirSync(inTheWay)
  await settler.move([journal.queued(1)!])
  t.equal(settler.unmoved, undefined)
  t.ok(existsSync(join(paths.quarantine, name)))
  t.match(readFileSync(join(paths.quarantine, `${name}.reason.json`), 'utf8'), '"reason": "r"')
  t.equal(log.warnedOf().filter(one => one === 'f1').length, 2, 'left and quarantined')
})

t.test('many are settled in one commit, whatever became of each', async t => {
  const { paths, journal, settler, told, claimed } = await settlerScene(t)
  const endings = (['applied', 'quarantined', 'duplicate', 'applied'] as const).map(
    (outcome, i) => ({
      ...{ entry: claimed(i + 1), outcome, digest: digestOf(`x${i}`), reason: `r${i}` },
      ...(outcome === 'applied' ? { ledgerSequence: BigInt(50 - i) } : {}),
    }),
  )
  const calls: string[][] = []
  const settle = journal.settle.bind(journal)
  journal.settle = settlements => {
    calls.push(settlements.map(({ entry }) => entry.name))
    t.equal(readdirSync(paths.quarantine).length, 1, 'the sidecar stands before the commit')
    t.equal(readdirSync(paths.work).length, 8, 'and nothing has moved')
    return settle(settlements)
  }
  await settler.settle(endings)
  t.same(calls, [['f1', 'f2', 'f3', 'f4']])
  t.same(
    told.map(([name]) => name),
    ['f1', 'f2', 'f3', 'f4'],
  )
  t.same(readdirSync(paths.work), [])
  t.match(
    [1, 2, 3, 4].map(number => journal.processed(number)),
    endings.map(({ entry, outcome, reason }) => ({ name: entry.name, outcome, reason })),
  )
  t.match(journal.state, { nextNumber: 5 })
  t.match(journal.newestApplied(9), [
    { name: 'f4', ledgerSequence: '47' },
    { name: 'f1', ledgerSequence: '50' },
  ])
  t.match(journal.ever, { applied: 2, duplicate: 1, quarantined: 1, bytes: 20, lines: 4 })
  await settler.settle([])
  t.equal(calls.length, 1, 'nothing costs nothing')
})

t.test('a start moves what a crash left; what was moved is not missed', async t => {
  const { paths, journal, settler, settling, claimed } = await settlerScene(t)
  const left = settling(claimed(1))
  await settler.move([left])
  t.ok(existsSync(join(paths.archive, '2023/11/14', archivedName('f1', hashOf('x')))))
  await settler.move([left])
  journal.claim([])
  t.equal(journal.queued(1), undefined)
  const half = { ...claimed(2), stage: 'settling' } as const
  t.match(await failureOf(settler.move([half])), { code: 'JOURNAL_UNREADABLE' })
})
