import { appendFileSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { AnnounceResult } from '../../../parser/intake/earlier-acks.ts'
import { QueueTally } from '../../../parser/intake/queue-tally.ts'
import { MANIFEST_SUFFIX } from '../../../shared/paths.ts'
import { eventually, within } from '../../shared/helpers.ts'
import { drop, manifestOf } from '../helpers.ts'
import { process as bring } from '../journal/helpers.ts'
import { announceOf, scene } from './inbox-scene.ts'

t.test('an announced file is claimed before it is acknowledged', async t => {
  const { paths, journal, queue, inbox, start } = scene(t)
  await start()
  drop(paths.inbox, 'a')
  const result = await inbox.announce(announceOf('a'))
  t.match(result, { outcome: 'accepted', sequence: Number })
  t.match(journal.queued(result.sequence ?? 0), { name: 'a', expected: { lines: 1 } })
  t.same([queue.files, queue.bytes], [1, 4])
  const again = await inbox.announce(announceOf('a'))
  t.same(again, result, 'a second announcement gets the same ack')
  t.match(await inbox.announce(announceOf('a', '9 9\n')), { outcome: 'refused' }, 'other content')
})

t.test('many announcements share one commit', async t => {
  const { paths, inbox, counts, queue, start } = scene(t)
  await start()
  const names = Array.from({ length: 200 }, (_, i) => `f${i}`)
  for (const name of names) {
    const text = `${name} 1\n`
    drop(paths.inbox, name, text, manifestOf(text))
  }
  const before = counts.commits
  const asked = [...names, ...names].map(name => inbox.announce(announceOf(name, `${name} 1\n`)))
  const results = await Promise.all(asked)
  t.ok(results.every(({ outcome }) => outcome === 'accepted'))
  t.equal(new Set(results.map(({ sequence }) => sequence)).size, 200)
  t.ok(counts.commits - before <= 3, `${counts.commits - before} commits`)
  t.equal(queue.files, 200)
})

t.test('those without a manifest are synced first, and share commits as well', async t => {
  const { paths, inbox, counts, queue, start } = scene(t)
  await start()
  const names = Array.from({ length: 200 }, (_, i) => `f${i}`)
  for (const name of names) drop(paths.inbox, name, `${name} 1\n`)
  const before = counts.commits
  const asked = names.map(name => inbox.announce(announceOf(name, `${name} 1\n`)))
  drop(paths.inbox, 'vouched', '1 2\n', manifestOf('1 2\n'))
  let answered = 0
  for (const one of asked) void one.then(() => (answered += 1))
  t.match(await inbox.announce(announceOf('vouched')), { outcome: 'accepted' })
  t.ok(answered < names.length, `one with a manifest does not wait for all of them (${answered})`)
  const results = await Promise.all(asked)
  t.ok(results.every(({ outcome }) => outcome === 'accepted'))
  t.ok(counts.commits - before < 100, `${counts.commits - before} commits`)
  t.equal(queue.files, 201)
})

t.test('an announced file that is still being written is to come later', async t => {
  const { paths, inbox, sealer, start } = scene(t)
  await start()
  const path = join(paths.inbox, 'growing')
  drop(paths.inbox, 'growing')
  const seal = sealer.seal.bind(sealer)
  sealer.seal = (...asked) => {
    const sealing = seal(...asked)
    appendFileSync(path, '3 4\n')
    return sealing
  }
  t.match(await inbox.announce(announceOf('growing')), { outcome: 'later', reason: /written/ })
  sealer.seal = seal
  t.match(await inbox.announce(announceOf('growing')), { outcome: 'accepted' })
})

t.test('an announcement does not wait for a long look', async t => {
  const { paths, inbox, scanner, start } = scene(t)
  const links = 3_000
  for (let i = 0; i < links; i += 1) symlinkSync('nowhere', join(paths.inbox, `link-${i}`))
  await start()
  const text = '3 4\n'
  drop(paths.inbox, 'good', text, manifestOf(text))
  t.match(await inbox.announce(announceOf('good', text)), { outcome: 'accepted' })
  const met = scanner.left?.files ?? 0
  t.ok(met < links, `${met} names were looked at by then`)
  await eventually('the look goes on to its end', () => scanner.left?.files === links)
})

t.test('names that are none are refused', async t => {
  const { paths, inbox, start } = scene(t)
  await start()
  drop(paths.parser, 'secret')
  for (const name of ['../parser/secret', 'a/b', '/etc/passwd', '', '..', '.x', 'a.tmp', 'a\n']) {
    t.match(await inbox.announce(announceOf(name)), { outcome: 'refused', reason: String }, name)
  }
  for (const [name, why] of [
    ['a.FilePart', /ends in \.filepart/],
    ['#a#', /between/],
    ['.a', /hidden/],
    ['a/b', /path/],
    ['a'.repeat(201), /201 bytes, at most 200/],
  ] as const) {
    t.match(await inbox.announce(announceOf(name)), { outcome: 'refused', reason: why }, name)
  }
  drop(paths.inbox, `m${MANIFEST_SUFFIX}`)
  t.match(await inbox.announce(announceOf(`m${MANIFEST_SUFFIX}`)), { outcome: 'refused' })
  mkdirSync(join(paths.inbox, 'directory'))
  t.match(await inbox.announce(announceOf('directory')), { outcome: 'refused' })
  t.match(await inbox.announce(announceOf('never seen')), { outcome: 'refused' })
  t.same(readdirSync(paths.parser).sort(), ['journal', 'secret'])
})

t.test('what was counted before is known', async t => {
  const { paths, journal, inbox, start } = scene(t)
  const file = bring(journal, journal.nextSequence, '1 2\n')
  await start()
  t.same(
    await inbox.announce(announceOf('gone', '1 2\n')),
    { outcome: 'known', settled: file } satisfies AnnounceResult,
    'without its file: how it was settled',
  )
  drop(paths.inbox, 'again')
  t.match(await inbox.announce(announceOf('again', '1 2\n')), {
    outcome: 'known',
    sequence: Number,
    settled: undefined,
  })
})

t.test('at the limit of the queue: later, and nothing is taken', async t => {
  const { paths, queue, inbox, start } = scene(t, { queueFilesMax: 2 })
  await start()
  for (const name of ['a', 'b', 'c']) drop(paths.inbox, name)
  const results = await Promise.all(['a', 'b', 'c'].map(name => inbox.announce(announceOf(name))))
  t.same(
    results.map(({ outcome }) => outcome),
    ['accepted', 'accepted', 'later'],
  )
  t.match(results[2], { reason: String })
  t.same(readdirSync(paths.inbox), ['c'])
  queue.remove(results[0]?.sequence ?? 0)
  t.match(await inbox.announce(announceOf('c')), { outcome: 'accepted' }, 'there is room again')
})

t.test('a look finds what nobody announced, within the limit', async t => {
  const { paths, queue, inbox, journal, start } = scene(t, {
    queueFilesMax: 3,
    scanIntervalMs: 50,
  })
  drop(paths.inbox, 'with', '1 2\n', manifestOf('1 2\n'))
  await start()
  t.equal(journal.queued(1_000)?.name, 'with')
  for (const name of ['a', 'b', 'c']) drop(paths.inbox, name)
  await eventually('the rest', () => queue.files === 3)
  await inbox.announce(announceOf('x'))
  t.equal(readdirSync(paths.inbox).length, 1, 'one is left for later')
  queue.remove(1_000)
  await eventually('it is taken too', () => readdirSync(paths.inbox).length === 0)
})

t.test('while a disk is nearly full nothing is taken; then it goes on', async t => {
  const { paths, queue, inbox, journal, disk, fullIfAny, start } = scene(t, {
    scanIntervalMs: 50,
  })
  await start()
  fullIfAny.push(paths.dir)
  await disk.look()
  t.match(disk.reason, /reserve/)
  drop(paths.inbox, 'a')
  drop(paths.inbox, 'b', '1 2\n', manifestOf('1 2\n'))
  t.match(await inbox.announce(announceOf('a')), { outcome: 'later', reason: String })
  t.equal(readdirSync(paths.inbox).length, 3)
  t.same([queue.files, journal.nextSequence], [0, 1_000])
  fullIfAny.length = 0
  await disk.look()
  t.match(await inbox.announce(announceOf('a')), { outcome: 'accepted' })
  await eventually('the other is found', () => queue.files === 2)
})

t.test('a stop answers whoever still waits', async t => {
  const { paths, inbox, start, stop } = scene(t)
  await start()
  drop(paths.inbox, 'a')
  const stopping = stop()
  const late = inbox.announce(announceOf('a'))
  t.match(await within('an answer', late), { outcome: /^(later|accepted)$/ })
  await stopping
  t.match(await inbox.announce(announceOf('b')), { outcome: 'later' })
})

t.test('the queue', async t => {
  const queue = new QueueTally()
  const entry = (sequence: number, name: string, hash?: string) => ({
    ...{ sequence, name, sizeBytes: 5, claimedAtMs: 0, manifestProblem: undefined },
    ...({ disposable: false, stage: 'claimed', digest: undefined, outcome: undefined } as const),
    ...{ checkpoint: undefined, runName: undefined, isPlain: true, identity: undefined },
    expected:
      hash === undefined
        ? undefined
        : { sha256: hash, sizeBytes: 5, lines: undefined, amount: undefined },
  })
  queue.add(entry(1, 'a'))
  queue.add(entry(1, 'a'))
  queue.add(entry(2, 'b', 'h1'))
  queue.add(entry(3, 'b', 'h2'))
  t.same([queue.files, queue.bytes], [3, 15])
  t.equal(queue.find('a', 'any'), 1)
  t.equal(queue.find('b', 'h2'), 3, 'the newest of a name')
  t.equal(queue.find('b', 'h1'), undefined)
  t.equal(queue.find('c', 'h1'), undefined)
  queue.remove(2)
  t.equal(queue.find('b', 'h2'), 3)
  queue.remove(3)
  queue.remove(3)
  t.equal(queue.find('b', 'h2'), undefined)
  t.same([queue.files, queue.bytes], [1, 5])
})
