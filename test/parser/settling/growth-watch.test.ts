import { appendFileSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import type { QueueEntry } from '../../../parser/facts.ts'
import { GrowthWatch } from '../../../parser/settling/growth-watch.ts'
import { archiveDay, archivedName } from '../../../shared/archive.ts'
import { identityOf } from '../../../shared/file-identity.ts'
import { settledName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { openScene } from '../helpers.ts'
import { digestOf, digestOne, entryOf, settlementOf } from '../journal/helpers.ts'

/** As an earlier version has archived. */
const inFlatArchive = (name: string, sha256: Uint8Array) => settledName(name, sha256)

const TEXT = '1234 5678\n'

function scene(t: Test) {
  const { paths, journal, log } = openScene(t)
  const start = () => {
    const growth = new GrowthWatch({ paths, journal, log })
    const abort = new AbortController()
    const running = growth.run(abort.signal)
    t.teardown(async () => {
      abort.abort()
      await running
    })
    return growth
  }
  /** A file of ten bytes in the archive. */
  const archived = (name: string, place = inFlatArchive) => {
    const digest = digestOf(name)
    const path = join(paths.archive, place(name, digest.sha256))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, TEXT)
    const stats = lstatSync(path, { bigint: true })
    return { path, digest, stats, identity: identityOf(stats) }
  }
  return { paths, journal, log, start, archived }
}

t.test('files without a manifest are looked at where they lie, the others as they go', async t => {
  const { start, archived, log } = scene(t)
  const growth = start()
  const settle = (name: string, facts: Partial<QueueEntry> = {}) => {
    const { path, digest, stats, identity } = archived(name)
    growth.settled(entryOf(1, { name, identity, ...facts }), digest, path, stats)
    return path
  }
  const plain = settle('plain')
  const gone = settle('gone')
  const vouched = settle('vouched', { isPlain: false })
  settle('changed-before', { isPlain: false, identity: { ino: 1n, mtimeNs: 1n } })
  t.match(growth.report, { files: 1, newest: [{ name: 'changed-before' }] })
  rmSync(gone)
  for (const path of [plain, vouched]) appendFileSync(path, '3 4\n')
  await eventually('it is told of', () => growth.report?.files === 2)
  t.match(growth.report?.newest[0], { name: 'plain', change: '10 bytes were read, now it has 14' })
  appendFileSync(plain, '3 4\n')
  const other = settle('other')
  appendFileSync(other, '3 4\n')
  await eventually('the next one', () => growth.report?.files === 3)
  t.same(log.warnedOf(), ['changed-before', 'plain', 'other'], 'each once')
  const unwritten = growth.takeUnwritten()
  t.match(unwritten[1], { name: 'plain', reason: /^changed after it was counted: 10 bytes/ })
  t.equal(unwritten.length, 3)
  t.same(growth.takeUnwritten(), [])
})

t.test('a restart begins with what was settled within the hour, by size', async t => {
  const { start, archived, journal, log } = scene(t)
  const settledAt = (
    name: string,
    settledAtMs: number,
    outcome: 'applied' | 'quarantined',
    place?: typeof inFlatArchive,
  ) => {
    const sequence = journal.nextSequence
    const entry = entryOf(sequence, { name })
    journal.claim([entry])
    const { path, digest } = archived(name, place)
    const settlement = settlementOf(digestOne(journal, entry, digest, undefined), outcome)
    journal.settle([{ ...settlement, facts: { ...settlement.facts, settledAtMs } }])
    return path
  }
  const nowMs = Date.now()
  const ofADay = (name: string, sha256: Uint8Array) =>
    join(archiveDay(nowMs), archivedName(name, sha256))
  const paths = [
    settledAt('old', nowMs - 3_700_000, 'applied'),
    settledAt('quarantined', nowMs, 'quarantined'),
    settledAt('young', nowMs - 3_500_000, 'applied'),
    settledAt('of-tomorrow', nowMs + 86_400_000, 'applied'),
    settledAt('of-a-day.txt', nowMs, 'applied', ofADay),
  ]
  settledAt('unchanged', nowMs, 'applied')
  for (const path of paths) appendFileSync(path, '3 4\n')
  const growth = start()
  await eventually('they are told of', () => growth.report?.files === 3)
  t.same(log.warnedOf().sort(), ['of-a-day.txt', 'of-tomorrow', 'young'])
})

t.test('of many only the newest are remembered', async t => {
  const { start, archived } = scene(t)
  const growth = start()
  const { path, digest, stats } = archived('many')
  for (let i = 0; i < 1_500; i += 1) {
    const identity = { ino: 1n, mtimeNs: 1n }
    growth.settled(entryOf(i, { name: `f${i}`, identity }), digest, path, stats)
  }
  t.equal(growth.report?.files, 1_500)
  t.same(
    growth.report?.newest.map(({ name }) => name),
    Array.from({ length: 10 }, (_, i) => `f${1_499 - i}`),
  )
  t.equal(growth.takeUnwritten().length, 1_000)
})
