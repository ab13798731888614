import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { usedAtOf } from '../../generator/calendar.ts'
import { readGeneratorState } from '../../generator/state.ts'
import { parseManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import { eventually, fakeParser, startProcess, stateDirectory } from './helpers.ts'

// When what generated files tell of was used.

const DAY_MS = 86_400_000
const endMs = Date.UTC(2026, 10, 26, 18, 30)
const timesOf = (seed: bigint, days: number, files: number): number[] =>
  Array.from({ length: files }, (_, i) => usedAtOf({ seed, days, endMs, number: i + 1 }))
const dayBefore = (ms: number): number => Math.floor(endMs / DAY_MS) - Math.floor(ms / DAY_MS)

t.test('spread over the days, evenly, and more by day than by night', async t => {
  for (const [seed, days] of [
    [0n, 30],
    [2n ** 64n - 1n, 7],
    [5n, 1],
  ] as const) {
    const times = timesOf(seed, days, 40 * days)
    t.ok(times.every(ms => ms <= endMs))
    const ofDays = new Map<number, number>()
    for (const ms of times) ofDays.set(dayBefore(ms), (ofDays.get(dayBefore(ms)) ?? 0) + 1)
    t.same(
      [...ofDays.keys()].sort((a, b) => a - b),
      [...Array(days).keys()],
    )
    t.ok([...ofDays.values()].every(files => files >= 38 && files <= 42))
    t.same(timesOf(seed, days, 40 * days), times, 'the same again')
  }
  const hours = timesOf(1n, 30, 3_000).map(ms => new Date(ms).getUTCHours())
  const within = (from: number, to: number) => hours.filter(h => h >= from && h < to).length
  t.ok(within(12, 18) > 2 * within(0, 6))
  t.equal(new Set(timesOf(3n, 30, 3).map(dayBefore)).size, 3, 'also of few files')
})

/** Of its files, in the order of their numbers. */
function usedAtIn({ inbox }: StatePaths): (number | undefined)[] {
  return readdirSync(inbox)
    .filter(name => name.endsWith(MANIFEST_SUFFIX))
    .sort()
    .map(name => parseManifest(readFileSync(join(inbox, name), 'utf8')).terms?.usedAtMs)
}

t.test('said in manifests and announcements, and the same in another life', async t => {
  const beforeMs = Date.now()
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths, (one, parser) => parser.ack(one, 'accepted'))
  const told = (): (number | undefined)[] => {
    const times = new Map(parser.announced.map(({ name, usedAtMs }) => [name, usedAtMs]))
    return [...times].sort().map(([, usedAtMs]) => usedAtMs)
  }
  const live = async (days: number, files: number): Promise<void> => {
    parser.announced.length = 0
    const env = { COUNTERSINK_FILES: '3', COUNTERSINK_DAYS: `${days}` }
    const { child, ended } = startProcess(t, paths, env)
    await eventually('all are announced', () => told().length === files)
    child.kill()
    await ended
  }
  await live(12, 3)
  const { seed, calendarEndMs } = (await readGeneratorState(paths.generatorState))!
  t.ok(calendarEndMs >= beforeMs && calendarEndMs <= Date.now())
  const expected = (number: number, days: number): number =>
    usedAtOf({ seed, number, days, endMs: calendarEndMs })
  const first = [1, 2, 3].map(number => expected(number, 12))
  t.same(usedAtIn(paths), first)
  t.same(told(), first)
  await live(5, 6)
  const both = [...first, ...[4, 5, 6].map(number => expected(number, 5))]
  t.same(usedAtIn(paths), both, 'from the same end on')
  t.same(told(), both, 'also of those that were published before')
  await live(0, 8)
  t.same(usedAtIn(paths).slice(6), [undefined, undefined])
})

t.test('a state of an earlier version gets one', async t => {
  const paths = stateDirectory(t)
  await fakeParser(t, paths)
  const make = async () => {
    await startProcess(t, paths, { COUNTERSINK_FILES: '1' }).ended
    return (await readGeneratorState(paths.generatorState))!
  }
  await make()
  const state = JSON.parse(readFileSync(paths.generatorState, 'utf8'))
  writeFileSync(paths.generatorState, JSON.stringify({ ...state, calendarEndMs: undefined }))
  const { nextNumber, calendarEndMs } = await make()
  t.equal(nextNumber, 3)
  t.equal((await make()).calendarEndMs, calendarEndMs, 'and keeps it')
})
