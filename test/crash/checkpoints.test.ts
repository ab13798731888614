import { readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, manifestOf, sha256Of, totalsOf } from '../helpers/files.ts'
import { assertEverythingAddsUp, list, processedFiles } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import {
  applied,
  CHECKPOINT_BYTES,
  journalledQueue,
  queueOf,
  settleAll,
  spawnDoomed,
  tinySite,
  wideFile,
} from './scene.ts'

// P2: what is summed again after a crash in mid-file, and what becomes of a checkpoint that lies.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const LINE_BYTES_MAX = 60
const large = wideFile('large', 2)

/** How far the reading has got when it is killed, in checkpoints, and where it goes on. */
const KILLS: readonly [point: CrashPoint, passing: number, goesOnFrom: number][] = [
  ['P2-checkpoint-before', 1, 0],
  ['P2-checkpoint-committed', 1, 1],
  ['P2-checkpoint-before', 2, 1],
  ['P2-checkpoint-committed', 2, 2],
  ['P2-checkpoint-committed', 3, 3],
  ['P3-final-run-sealed', 1, 3],
]

for (const [point, passing, checkpoints] of KILLS) {
  t.test(`killed at ${point}, passing ${passing}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    drop(site.paths, [large])
    await (await spawnDoomed(t, site, point, { passing })).died()
    const next = await settleAll(t, site, 1)
    const from = resumedFrom(next.output())
    const atMost = checkpoints * CHECKPOINT_BYTES
    t.ok(from <= atMost && from >= Math.max(0, atMost - LINE_BYTES_MAX), `${from} of ${atMost}`)
    t.notMatch(next.output(), /a checkpoint was dropped/)
    await assertEverythingAddsUp(t, site, applied(large))
  })
}

/** So many runs are written until the search for the first overflow is under way. */
const SEARCHING = 120

t.test('killed while the first overflow is searched for', { buffered: true }, async t => {
  const lines = large.content.toString().trimEnd().split('\n')
  const content = [`777777 ${U64_MAX}`, ...lines, '777777 1', ...lines.slice(0, 20), 'what\n']
  const over = dataFile('over', content.join('\n'))
  const site = await tinySite(t, server)
  drop(site.paths, [over], { manifest: false })
  await (await spawnDoomed(t, site, 'P2-run-renamed', { passing: SEARCHING })).died()
  const left = list(site.paths.runs)
  t.ok(
    left.some(name => name.includes('-again-')),
    left.join(),
  )
  await settleAll(t, site, 1)
  const [processed] = await processedFiles(site)
  t.match(processed?.reason, `CONSUMER_SUM_OVERFLOW: line ${lines.length + 2}, `)
  await assertEverythingAddsUp(t, site, [[over, 'quarantined']])
})

/** 0: it was begun anew. */
function resumedFrom(output: string): number {
  const found = /goes on from a checkpoint name=large resumedFromBytes=(\d+)/.exec(output)
  return Number(found?.[1] ?? 0)
}

t.test('where it goes on is told while it reads', { buffered: true }, async t => {
  const site = await makeSite(t, server, { COUNTERSINK_CHECKPOINT: '1MiB' })
  const content = Buffer.concat(Array.from({ length: COPIES }, () => large.content))
  const vouched = { size: content.length, sha256: sha256Of(content) }
  const none = { lines: undefined, amount: undefined }
  const huge = { name: 'large', content }
  drop(site.paths, [huge], { manifest: manifestOf(content, { ...vouched, ...none }) })
  const first = await startParser(t, site)
  await eventually('some of it is read', async () => {
    const [entry] = await queueOf(site)
    return (entry?.checkpointBytes ?? 0) >= 4 * 2 ** 20
  })
  first.signal('SIGKILL')
  await first.ended
  const [entry] = await journalledQueue(site)
  const resumeBytes = entry?.checkpoint?.resumeBytes ?? 0

  const next = await startParser(t, site)
  const reading = await eventually(
    'it reads on',
    async () => (await pingParser(site.paths))?.reading,
  )
  t.match(reading, { name: 'large', resumedFromBytes: resumeBytes, sizeBytes: content.length })
  t.match((await countersink(t, site, 'status')).stdout, /large, .*resumed from a checkpoint at/)
  await next.untilSettled(1)
  await stopProgram(next)
  t.equal(resumedFrom(next.output()), resumeBytes)
  const totals = [...totalsOf([large])].map(([id, sum]) => [id, sum * BigInt(COPIES)] as const)
  await assertEverythingAddsUp(t, site, applied(huge), new Map(totals))
})

const COPIES = 250

/** What somebody does to the file in work/ while the parser is down, and how it shows. */
const ALTERED: Readonly<Record<string, { content: Buffer; change: RegExp }>> = {
  'other lines of equal length before the checkpoint': {
    content: swapped(large.content, 0),
    change: /its first 131072 bytes are not those/,
  },
  'other lines of equal length behind it': {
    content: swapped(large.content, 3 * CHECKPOINT_BYTES),
    change: /last modification/,
  },
  'cut off before the checkpoint': {
    content: wholeLines(large.content, 90_000),
    change: /bytes were claimed, now it has 90009/,
  },
  'cut off behind it': {
    content: wholeLines(large.content, 180_000),
    change: /bytes were claimed, now it has 180020/,
  },
  emptied: { content: Buffer.alloc(0), change: /bytes were claimed, now it has 0$/ },
}

for (const [what, { content, change }] of Object.entries(ALTERED)) {
  t.test(`the file is altered: ${what}`, { buffered: true }, async t => {
    const site = await killedAfterTwo(t, { manifest: false })
    alter(site, content)
    await settleAll(t, site, 1)
    await assertQuarantined(t, site, content, change)
  })
}

t.test('what it began with is compared though a run is unreadable', { buffered: true }, async t => {
  const site = await killedAfterTwo(t, { manifest: false })
  const [entry] = await journalledQueue(site)
  rmSync(join(site.paths.runs, entry?.checkpoint?.runs[0] ?? ''))
  const content = swapped(large.content, 0)
  alter(site, content, entry?.identity?.mtimeNs)
  // It must be found out again by whoever goes on after a crash while it is read again.
  const doomed = await spawnDoomed(t, site, 'P7-before-journalled')
  await doomed.died()
  t.match((await journalledQueue(site))[0]?.checkpoint, { positionBytes: 2 * CHECKPOINT_BYTES })
  await settleAll(t, site, 1)
  await assertQuarantined(t, site, content, /its first 131072 bytes are not those/)
})

function alter(site: Site, content: Buffer, mtimeNs?: bigint): void {
  const [name = ''] = list(site.paths.work)
  const path = join(site.paths.work, name)
  truncateSync(path, content.length)
  writeFileSync(path, content)
  // To the second, as an archive would bring it back.
  if (mtimeNs !== undefined)
    utimesSync(path, Number(mtimeNs / 10n ** 9n), Number(mtimeNs / 10n ** 9n))
}

async function assertQuarantined(t: Test, site: Site, content: Buffer, change: RegExp) {
  await assertEverythingAddsUp(t, site, [[{ ...large, content }, 'quarantined']])
  const [file] = await processedFiles(site)
  t.match(file?.reason, /^CHANGED_AFTER_CLAIM: /)
  t.match(file?.reason, change)
}

/** Two lines of one length change some digits, from the first whole line behind a position. */
function swapped(content: Buffer, from: number): Buffer {
  const start = from === 0 ? 0 : content.indexOf('\n', from) + 1
  const text = content.toString('latin1')
  const line = text.slice(start, text.indexOf('\n', start))
  const other = line.replace(/\d$/, digit => String((Number(digit) + 1) % 10))
  return Buffer.from(text.slice(0, start) + other + text.slice(start + line.length), 'latin1')
}

function wholeLines(content: Buffer, atLeast: number): Buffer {
  return content.subarray(0, content.indexOf('\n', atLeast) + 1)
}

const DAMAGES: Readonly<Record<string, (path: string) => void>> = {
  deleted: path => rmSync(path),
  'one bit flipped': path => {
    const bytes = readFileSync(path)
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    writeFileSync(path, bytes)
  },
  emptied: path => truncateSync(path, 0),
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  t.test(`a run of the checkpoint is ${what}`, { buffered: true }, async t => {
    const site = await killedAfterTwo(t, {})
    const [entry] = await journalledQueue(site)
    const runs = entry?.checkpoint?.runs ?? []
    t.ok(runs.length > 2, 'there are several runs')
    damage(join(site.paths.runs, runs[1]!))
    const next = await settleAll(t, site, 1)
    t.match(next.output(), /WARN parser a checkpoint was dropped name=large/)
    await assertEverythingAddsUp(t, site, applied(large))
  })
}

async function killedAfterTwo(t: Test, how: { manifest?: boolean }): Promise<Site> {
  const site = await tinySite(t, server)
  drop(site.paths, [large] satisfies DataFile[], how)
  await (await spawnDoomed(t, site, 'P2-checkpoint-committed', { passing: 2 })).died()
  return site
}
