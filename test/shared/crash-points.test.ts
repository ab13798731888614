import { readdirSync } from 'node:fs'
import t from 'tap'
import { CRASH_POINTS, crashPoint } from '../../shared/crash-points.ts'
import { runModule, tempDir } from './helpers.ts'

/** Passes two points, each three times, and says so before each time. */
const PROGRAM = `
  import { crashPoint } from '@/shared/crash-points.ts'
  import { writeSync } from 'node:fs'
  for (const round of [1, 2, 3]) {
    for (const name of ['P1-claim-synced', 'P6-before-commit']) {
      writeSync(1, name + round + '\\n')
      crashPoint(name)
    }
  }
  writeSync(1, 'end\\n')
  process.exit(0)`

async function run(t: Parameters<typeof runModule>[0], env: Record<string, string>) {
  const child = runModule(t, PROGRAM, { env })
  const { code, signal } = await child.ended
  return { code, signal, last: child.out().trim().split('\n').at(-1), err: child.err() }
}

t.test('inert unless armed', async t => {
  for (const name of CRASH_POINTS) crashPoint(name)
  t.equal(new Set(CRASH_POINTS).size, CRASH_POINTS.length)
  t.match(await run(t, {}), { code: 0, last: 'end' })
})

t.test('armed, it kills at the n-th passing, and nothing runs after it', async t => {
  t.match(await run(t, { COUNTERSINK_CRASH_AT: 'P6-before-commit' }), {
    signal: 'SIGKILL',
    last: 'P6-before-commit1',
  })
  t.match(await run(t, { COUNTERSINK_CRASH_AT: 'P1-claim-synced:3' }), {
    signal: 'SIGKILL',
    last: 'P1-claim-synced3',
  })
})

t.test('with marks, once for all processes', async t => {
  const marks = tempDir(t)
  const env = { COUNTERSINK_CRASH_AT: 'P1-claim-synced:2', COUNTERSINK_CRASH_MARKS: marks }
  t.match(await run(t, env), { signal: 'SIGKILL', last: 'P1-claim-synced2' })
  t.same(readdirSync(marks), ['P1-claim-synced'])
  t.match(await run(t, env), { code: 0, last: 'end' })
})

t.test('a name that is none is refused, not ignored', async t => {
  for (const name of ['P9-none', 'P1-claim-synced:0', 'P1-claim-synced:x']) {
    const { code, last, err } = await run(t, { COUNTERSINK_CRASH_AT: name })
    t.equal(code, 1, name)
    t.not(last, 'end')
    t.match(err, /COUNTERSINK_CRASH_AT/)
  }
})
