import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { readJournal } from '../../parser/journal/journal.ts'
import type { QueueEntry } from '../../parser/journal/records.ts'
import { Session } from '../../parser/ledger/connection.ts'
import { openLedger } from '../../parser/ledger/schema/opening.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import type { DatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, manifestOf, seeded, sha256Of } from '../helpers/files.ts'
import type { Fate } from '../helpers/invariants.ts'
import { type RunningParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Program, Teardown } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

/** Limits so small that every boundary is crossed by small files. */
export const TINY = {
  COUNTERSINK_PAIRS_MAX: '64',
  COUNTERSINK_MEMORY_PAIRS_MAX: '16',
  COUNTERSINK_CHECKPOINT: '64KiB',
  COUNTERSINK_CHUNK_PAIRS_MAX: '16',
  COUNTERSINK_BATCH_FILES_MAX: '3',
  COUNTERSINK_TAKEOVER_MS: '300',
}
export const CHECKPOINT_BYTES = 64 * 1024

export function tinySite(
  t: Teardown,
  server: DatabaseServer,
  env: Readonly<Record<string, string>> = {},
): Promise<Site> {
  return makeSite(t, server, { ...TINY, ...env })
}

/**
 * Many lines over many consumers, half of them with ids above 2^63, and some amounts above 2^53.
 * Neighbouring lines share consumers, as in real files: the table is sealed a few dozen times.
 */
export function wideFile(
  name: string,
  seed: number,
  { bytes = 210 * 1024, consumers = 420 }: { bytes?: number; consumers?: number } = {},
): DataFile {
  const below = seeded(seed)
  const lines: string[] = []
  for (let line = 0, length = 0; length < bytes; line += 1) {
    const consumer = (Math.floor(line / 150) * 50 + below(80)) % consumers
    const amount = line % 100 === 0 ? 2n ** 53n + BigInt(2 * below(1_000) + 1) : below(1_000_000)
    const text = `${consumerId(consumer)} ${amount}\n`
    lines.push(text)
    length += text.length
  }
  return dataFile(name, lines.join(''))
}

function consumerId(n: number): bigint {
  return n % 2 === 0 ? BigInt(n) : 2n ** 63n + BigInt(n) * 10n ** 15n
}

/** Files with the outcomes they must have when they come in this order. */
export function applied(...files: readonly DataFile[]): Fate[] {
  return files.map(file => [file, 'applied'])
}

/** The parser, armed to be killed at a point; `died` tells that it was there, and by SIGKILL. */
export async function spawnDoomed(
  t: Test,
  site: Site,
  point: CrashPoint,
  { passing = 1, env = {} }: { passing?: number; env?: Readonly<Record<string, string>> } = {},
): Promise<Program & { died(): Promise<void> }> {
  const marks = join(site.paths.dir, `marks-${point}-${passing}-${Math.random()}`)
  await mkdir(marks)
  const program = spawnParser(t, site, {
    ...env,
    COUNTERSINK_CRASH_AT: `${point}:${passing}`,
    COUNTERSINK_CRASH_MARKS: marks,
  })
  return {
    ...program,
    async died() {
      await eventually(`it dies at ${point}, passing ${passing}`, () => !program.isRunning())
      t.match(await program.ended, { signal: 'SIGKILL' }, `killed at ${point}`)
      t.ok(existsSync(join(marks, point)), `${point} was passed`)
    },
  }
}

/** Starts a parser that nothing harms, lets it settle everything, and stops it. */
export async function settleAll(
  t: Test,
  site: Site,
  files: number,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningParser> {
  const parser = await startParser(t, site, env)
  await parser.untilSettled(files)
  t.match(await stopProgram(parser), { code: 0 })
  return parser
}

/**
 * Brings files in one after the other, each acknowledged before the next, so that which of two
 * equal contents is first is not up to chance.
 *
 * @returns how many were acknowledged before the parser died.
 */
export async function feed(
  t: Test,
  site: Site,
  parser: Program,
  files: readonly DataFile[],
): Promise<number> {
  const announcer = await eventually('the parser listens', async () => {
    if (!parser.isRunning()) return 'dead' as const
    return connectAnnouncer(t, site.paths)
  })
  if (announcer === 'dead') return 0
  for (const [i, file] of files.entries()) {
    if (!existsSync(join(site.paths.inbox, file.name))) bringIn(site, file)
    const { name, content } = file
    try {
      const { outcome } = await announcer.channel.request<'ack'>({
        type: 'announce',
        ...{ name, sizeBytes: content.length, sha256: sha256Of(content) },
      })
      if (outcome !== 'accepted' && outcome !== 'known') throw new Error(`${file.name}: ${outcome}`)
    } catch (error) {
      if (await dies(parser)) return i
      throw error
    }
  }
  return files.length
}

/** With a manifest, though without lines and amount where the lines are no lines. */
export function bringIn(site: Site, file: DataFile): void {
  const { content } = file
  const isGood = /^(\d+ \d+\n)*$/.test(content.toString('latin1'))
  const none = { lines: undefined, amount: undefined }
  drop(site.paths, [file], isGood ? {} : { manifest: manifestOf(content, none) })
}

/** After its socket has closed: whether it is ending. */
async function dies(parser: Program): Promise<boolean> {
  return eventually('the parser has ended', () => !parser.isRunning(), { withinMs: 5_000 }).catch(
    () => false,
  )
}

export function queueOf(site: Site): Promise<QueueEntry[]> {
  return readJournal(site.paths.journal, view => [...view.queuedFrom(0, 1_000)]).then(
    entries => entries ?? [],
  )
}

/** Waits until these files are read to their ends, or the parser has died. */
export async function untilDigested(
  site: Site,
  parser: Program,
  files: readonly DataFile[],
): Promise<void> {
  await eventually('they are digested', async () => {
    if (!parser.isRunning()) return true
    const queue = await queueOf(site)
    return files.every(({ name }) =>
      queue.some(entry => entry.name === name && entry.stage === 'digested'),
    )
  })
}

/** Holds the ledger, so that no batch can begin: what is digested meanwhile makes one batch. */
export async function holdLedger(t: Teardown, site: Site): Promise<{ release(): Promise<void> }> {
  const session = await Session.open(site.address)
  await openLedger(session, site.config)
  await session.execute('START TRANSACTION')
  await session.query(`SELECT * FROM ${ledgerNames(site.config).meta} FOR UPDATE`)
  let released: Promise<void> | undefined
  const release = () => {
    released ??= session.rollback().then(() => session.close())
    return released
  }
  t.teardown(release)
  return { release }
}
