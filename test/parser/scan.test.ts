import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { InboxScanner } from '../../parser/scan.ts'
import { CLAIMS_PER_COMMIT_MAX } from '../../shared/limits.ts'
import { MANIFEST_SUFFIX } from '../../shared/paths.ts'
import { type Teardown, tempDir } from '../shared/helpers.ts'
import { drop, manifestOf, recordingLog } from './helpers.ts'

const QUIET = 1_000
const HOLD = 10_000

function scene(t: Teardown) {
  const inbox = tempDir(t)
  const log = recordingLog()
  const scanner = new InboxScanner({ inbox, quietMs: QUIET, cutHoldMs: HOLD, log })
  return { inbox, log, look: async (nowMs: number) => (await scanner.look(nowMs)).sort() }
}

t.test('a file with a manifest is taken at once', async t => {
  const { inbox, look } = scene(t)
  drop(inbox, 'a', '1 2', manifestOf('1 2'))
  t.same(await look(0), ['a'])
})

t.test('one without must have been quiet', async t => {
  const { inbox, look } = scene(t)
  drop(inbox, 'a')
  drop(inbox, 'empty', '')
  t.same(await look(0), [])
  t.same(await look(QUIET - 1), [])
  t.same(await look(QUIET), ['a', 'empty'])
  appendFileSync(join(inbox, 'a'), '3 4\n')
  t.same(await look(QUIET + 1), ['empty'], 'it changed: it must be quiet anew')
  t.same(await look(2 * QUIET), ['empty'])
  t.same(await look(2 * QUIET + 1), ['a', 'empty'])
  utimesSync(join(inbox, 'a'), 5, 5)
  t.same(await look(9 * QUIET), ['empty'], 'another time of modification is a change as well')
})

t.test('one that may be a cut copy is held', async t => {
  const { inbox, look } = scene(t)
  drop(inbox, 'cut', '1 2\n3')
  t.same(await look(0), [])
  t.same(await look(QUIET), [])
  t.same(await look(HOLD - 1), [])
  t.same(await look(HOLD), ['cut'])
  appendFileSync(join(inbox, 'cut'), ' 4\n')
  t.same(await look(HOLD), [])
  t.same(await look(HOLD + QUIET), ['cut'], 'whole, it needs quiet alone')
})

t.test('unfinished names are left alone, without a word', async t => {
  const { inbox, look, log } = scene(t)
  const names = ['.hidden', 'a.tmp', 'a.part', 'a.PARTIAL', '.manifest.json']
  for (const name of names) drop(inbox, name)
  drop(inbox, 'b.tmp', 'x', manifestOf('x'))
  await look(0)
  t.same(await look(HOLD), [])
  t.same(log.lines, [])
})

t.test('what cannot be taken is warned of once each', async t => {
  const { inbox, look, log } = scene(t)
  mkdirSync(join(inbox, 'directory'))
  symlinkSync('/etc/passwd', join(inbox, 'link'))
  execFileSync('mkfifo', [join(inbox, 'pipe')])
  const unfit = ['a\nb', 'x'.repeat(201)]
  for (const name of unfit) drop(inbox, name)
  for (const nowMs of [0, QUIET, HOLD, 2 * HOLD]) t.same(await look(nowMs), [])
  t.same(log.warnedOf().sort(), [...unfit, 'directory', 'link', 'pipe'].sort())
  drop(inbox, 'good')
  await look(3 * HOLD)
  t.same(await look(4 * HOLD), ['good'], 'the others go their way')
  t.equal(readdirSync(inbox).length, 6, 'nothing was touched')
})

t.test('a manifest whose data never came is removed after a day', async t => {
  const { inbox, look } = scene(t)
  const ageTo = (name: string, hours: number): void => {
    const seconds = Date.now() / 1_000 - hours * 3_600
    utimesSync(join(inbox, `${name}${MANIFEST_SUFFIX}`), seconds, seconds)
  }
  for (const name of ['old', 'young']) drop(inbox, `${name}${MANIFEST_SUFFIX}`)
  drop(inbox, 'whole', '1 2\n', manifestOf('1 2\n'))
  ageTo('old', 25)
  ageTo('young', 23)
  ageTo('whole', 25)
  t.same(await look(0), ['whole'])
  t.notOk(existsSync(join(inbox, `old${MANIFEST_SUFFIX}`)))
  t.ok(existsSync(join(inbox, `young${MANIFEST_SUFFIX}`)))
  t.ok(existsSync(join(inbox, `whole${MANIFEST_SUFFIX}`)))
})

t.test('one look finds at most what one commit takes', async t => {
  const { inbox, look } = scene(t)
  for (let i = 0; i < CLAIMS_PER_COMMIT_MAX + 5; i += 1) {
    drop(inbox, `f${i}`, '1 2\n', manifestOf('1 2\n'))
  }
  t.equal((await look(0)).length, CLAIMS_PER_COMMIT_MAX)
})
