import t, { type Test } from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type DataFile,
  drop,
  manifestOf,
  seededFile,
  sha256Of,
  totalsOf,
} from '../helpers/files.ts'
import { assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import {
  pingParser,
  spawnParser,
  startParser,
  stopProgram,
  untilSettled,
} from '../helpers/parser.ts'
import type { Program } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { type Mischief, startProxy } from './proxy.ts'
import {
  applied,
  COMMITS,
  chunkedFile,
  NO_USAGE,
  settleAll,
  tinySite,
  untilAgreed,
  wideFile,
} from './scene.ts'
import { openBatchOf } from './sql.ts'

// Two parsers on one state directory: the newer owns it, nothing is counted twice, nothing lost.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const ROUNDS = 3

for (let round = 1; round <= ROUNDS; round += 1) {
  t.test(`two start at the same moment, round ${round}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    // The second round is the very first start on its directory.
    if (round !== 2) await settleAll(t, site, 0)
    const batches = Array.from({ length: 6 }, (_, i) => filesOf(round, i))
    // One round with everything there before the start, the others with files that keep coming.
    const early = round === 1 ? batches.splice(0) : batches.splice(0, 1)
    drop(site.paths, early.flat())
    const parsers = [spawnParser(t, site), spawnParser(t, site)]
    for (const files of batches) {
      drop(site.paths, files)
      await eventually('some are taken', () => isInboxEmpty(site) || !parsers.some(isRunning))
    }
    const loser = await Promise.race(parsers.map(one => one.ended.then(() => one)))
    await assertClearEnd(t, loser)
    const files = [...early, ...batches].flat()
    for (const parser of parsers) if (isRunning(parser)) t.match(await stopProgram(parser), {})
    await settleAll(t, site, files.length)
    await assertEverythingAddsUp(t, site, applied(...files))
  })
}

function filesOf(round: number, i: number): DataFile[] {
  const seed = round * 100 + i
  return [
    wideFile(`${round}-${i}-wide`, seed, { bytes: 40_000, consumers: 100 }),
    seededFile(`${round}-${i}-small`, 1_000 + seed, { lines: 30 }),
  ]
}

function isRunning(program: Program): boolean {
  return program.isRunning()
}

function isInboxEmpty(site: Site): boolean {
  return list(site.paths.inbox).every(name => name.endsWith('.manifest.json'))
}

/** It says why, and that a restart cannot help; or it was still on its way to the journal. */
async function assertClearEnd(t: Test, parser: Program): Promise<void> {
  const { code, stderr } = await parser.ended
  if (!stderr.includes('NOTICE parser started')) return
  t.match({ code, stderr }, { code: 78, stderr: /ERROR parser OWNERSHIP_LOST: .*Run one parser/ })
}

const STOPPED_AT: readonly [where: keyof typeof COMMITS, mischief: Mischief][] = [
  ['a portion', 'hold after'],
  ['a portion', 'hold before'],
  ['all portions', 'hold before'],
  ['the beginning', 'hold after'],
  ['a chunk', 'hold after'],
  ['a chunk', 'hold before'],
  ['the last chunk', 'hold after'],
]

for (const [where, mischief] of STOPPED_AT) {
  const nth = COMMITS[where]
  t.test(
    `a zombie, stopped at the COMMIT of ${where} (${mischief})`,
    { buffered: true },
    async t => {
      const site = await tinySite(t, server, NO_USAGE)
      const proxy = await startProxy(t, site)
      const files = [chunkedFile('a-wide', 1), seededFile('b-small', 2), seededFile('c-small', 3)]
      const zombie = await startParser(t, site, proxy.env)
      await untilAgreed(site)
      proxy.arm(mischief, nth)
      drop(site.paths, files.slice(0, 1))
      await eventually('a COMMIT is held', () => proxy.done === 1)
      const isOpen = nth >= COMMITS['the beginning'] && nth < COMMITS['the last chunk']
      if (isOpen) t.equal((await openBatchOf(site)).state, 'applying')
      zombie.signal('SIGSTOP')
      drop(site.paths, files.slice(1))

      const second = spawnParser(t, site)
      t.match(await zombie.ended, { signal: 'SIGKILL' }, 'the second does not wait for it')
      await untilSettled(site, files.length)
      proxy.release()
      t.ok(second.isRunning(), 'the second is not disturbed')
      await stopProgram(second)
      await settleAll(t, site, files.length)
      await assertEverythingAddsUp(t, site, applied(...files))
    },
  )
}

t.test('a zombie, stopped while it reads', { buffered: true }, async t => {
  // Without checkpoints: it writes nothing down before it has judged the file.
  const site = await makeSite(t, server)
  const part = wideFile('a-huge', 1)
  const content = Buffer.concat(Array.from({ length: COPIES }, () => part.content))
  const huge = { ...part, content }
  const vouched = { size: content.length, sha256: sha256Of(content) }
  const unsaid = { lines: undefined, amount: undefined }
  const zombie = await startParser(t, site)
  drop(site.paths, [huge], { manifest: manifestOf(content, { ...vouched, ...unsaid }) })
  await eventually('it reads', async () => {
    const reading = (await pingParser(site.paths))?.reading
    if (reading === undefined || reading.positionBytes === 0) return false
    zombie.signal('SIGSTOP')
    return true
  })
  const second = spawnParser(t, site)
  t.match(await zombie.ended, { signal: 'SIGKILL' })
  await untilSettled(site, 1)
  t.match(await stopProgram(second), { code: 0 })
  const totals = [...totalsOf([part])].map(([id, sum]) => [id, sum * BigInt(COPIES)] as const)
  await assertEverythingAddsUp(t, site, applied(huge), new Map(totals))
})

const COPIES = 250
