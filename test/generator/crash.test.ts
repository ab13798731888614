import { readdirSync } from 'node:fs'
import t from 'tap'
import { readGeneratorState, readPublished, runNames } from '../../generator/state.ts'
import type { CrashPoint } from '../../shared/crash-points.ts'
import {
  eventually,
  fakeParser,
  readFiles,
  startProcess,
  stateDirectory,
  sumFiles,
} from './helpers.ts'

const POINTS: readonly CrashPoint[] = [
  'G1-before-tmp-synced',
  'G1-tmp-synced',
  'G1-state-written',
  'G2-manifest-renamed',
  'G3-data-renamed',
  'G3-announced',
]
const FILES = 6

for (const point of POINTS) {
  t.test(
    `died at ${point}: each file is published once, counted once, and all are made`,
    async t => {
      const paths = stateDirectory(t)
      const parser = await fakeParser(t, paths)
      const env = { COUNTERSINK_FILES: String(FILES), COUNTERSINK_RUN_ID: 'run' }
      const crashed = await startProcess(t, paths, { ...env, COUNTERSINK_CRASH_AT: `${point}:3` })
        .ended
      t.equal(crashed.signal, 'SIGKILL', crashed.log)
      await eventually('the parser has done its part', parser.idle)
      const made = [...readFiles(paths.inbox), ...readFiles(paths.work)]
      t.ok(made.length === 2 || made.length === 3)
      t.same((await readPublished(paths))?.control, sumFiles(made), 'the reader sees the truth')

      const again = await startProcess(t, paths, env).ended
      t.equal(again.code, 0, again.log)
      const files = readFiles(paths.work)
      const state = await readGeneratorState(paths.generatorState)
      t.same(state?.control, sumFiles(files))
      t.equal(state?.pending, null)
      t.equal(files.length, FILES)
      t.equal(new Set(files.map(file => file.sha256)).size, FILES)
      t.same(
        [...runNames(state!.stream, state!.run!)],
        files.map(file => file.name),
      )
      t.same(readdirSync(paths.inbox), [])
      t.same(readdirSync(paths.generatorTmp), [])
    },
  )
}

t.test('killed again and again at any instant, a run makes its files and no more', async t => {
  const paths = stateDirectory(t)
  const parser = await fakeParser(t, paths)
  const env = { COUNTERSINK_FILES: '40', COUNTERSINK_RUN_ID: 'run', COUNTERSINK_RATE: '400KiB' }
  for (let kill = 1; kill <= 4; kill += 1) {
    const running = startProcess(t, paths, env)
    const heard = parser.announced.length
    await eventually('some more', () => parser.announced.length >= heard + 4)
    running.child.kill('SIGKILL')
    await running.ended
  }
  const last = await startProcess(t, paths, env).ended
  t.equal(last.code, 0, last.log)
  const files = readFiles(paths.work)
  t.equal(files.length, 40)
  const state = await readGeneratorState(paths.generatorState)
  t.same(state?.control, sumFiles(files))
  t.match(state?.run, { id: 'run', published: 40 })
  const idle = await startProcess(t, paths, env).ended
  t.equal(idle.code, 0, 'once more: nothing is left to do')
  t.equal(readFiles(paths.work).length, 40)
})
