import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { QueueEntry } from '../../parser/facts.ts'
import { readJournal } from '../../parser/journal/reading.ts'
import { Session } from '../../parser/ledger/connection.ts'
import { openLedger } from '../../parser/ledger/schema/opening.ts'
import { takeOpening } from '../../parser/ledger/schema/opening-balance.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import type { CrashPoint } from '../../shared/crash-points.ts'
import type { QueuedFile } from '../../shared/protocol.ts'
import { answerOf } from '../helpers/answers.ts'
import { connectAnnouncer } from '../helpers/client.ts'
import type { DatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, manifestOf, seeded, sha256Of } from '../helpers/files.ts'
import { type Fate, list } from '../helpers/invariants.ts'
import {
  pingParser,
  type RunningParser,
  spawnParser,
  startParser,
  stopProgram,
} from '../helpers/parser.ts'
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

/** COMMITs of a `chunkedFile`: of its sums in portions, of their end, of its batch's beginning and chunks. */
export const COMMITS = {
  ...{ 'a portion': 2, 'the last portion': 4, 'all portions': 5 },
  ...{ 'the beginning': 6, 'a chunk': 8, 'the last chunk': 10 },
} as const

/** Four portions, and four chunks. */
export function chunkedFile(name: string, seed: number): DataFile {
  return wideFile(name, seed, { bytes: 20_000, consumers: 60 })
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

/** For sites whose COMMITs are counted: those of usage by time come whenever nothing else waits. */
export const NO_USAGE = { COUNTERSINK_USAGE: 'off' } as const

/** Its start is over: no COMMIT comes now but those of files. */
export async function untilAgreed(site: Site): Promise<void> {
  await eventually('it counts', async () => (await pingParser(site.paths))?.state === 'running')
}

/**
 * Brings files in one after the other, each acknowledged before the next, so that which of two
 * equal contents is first is not up to chance; through any number of parsers that die of it.
 */
export class Feeder {
  readonly #t: Test
  readonly #site: Site
  readonly #files: readonly DataFile[]
  #brought = 0
  #acknowledged = 0

  constructor(t: Test, site: Site, files: readonly DataFile[]) {
    this.#t = t
    this.#site = site
    this.#files = files
  }

  /** Until all are acknowledged or the parser has died; another one may go on. */
  async feed(parser: Program): Promise<void> {
    const announcer = await eventually('the parser listens', async () => {
      if (!parser.isRunning()) return 'dead' as const
      return connectAnnouncer(this.#t, this.#site.paths)
    })
    if (announcer === 'dead') return
    for (; this.#acknowledged < this.#files.length; this.#acknowledged += 1) {
      const file = this.#files[this.#acknowledged]!
      if (this.#brought === this.#acknowledged) {
        this.#brought += 1
        bringIn(this.#site, file)
      }
      const { name, content } = file
      try {
        const { outcome } = await announcer.channel.request<'ack'>({
          type: 'announce',
          ...{ name, sizeBytes: content.length, sha256: sha256Of(content) },
        })
        if (!['accepted', 'known'].includes(outcome)) throw new Error(`${name}: ${outcome}`)
        // The first is not read together with others: it makes a batch by itself.
        if (this.#acknowledged === 0) await untilDigested(this.#site, parser)
      } catch (error) {
        await eventually(`it died (or else ${error})`, () => !parser.isRunning())
        return
      }
    }
  }
}

/** With a manifest, though without lines and amount where the lines are no lines. */
export function bringIn(site: Site, file: DataFile): void {
  const { content } = file
  const isGood = /^(\d+ \d+\n)*$/.test(content.toString('latin1'))
  const none = { lines: undefined, amount: undefined }
  drop(site.paths, [file], isGood ? {} : { manifest: manifestOf(content, none) })
}

/** What waits, from whoever may tell: the parser, or its journal once it has ended. */
export async function queueOf(site: Site): Promise<readonly QueuedFile[]> {
  const question = { kind: 'queue', after: 0 } as const
  const { queued } = (await answerOf(site, question)) ?? { queued: [] }
  return queued
}

/** All of it, of a parser that has ended. */
export async function journalledQueue(site: Site): Promise<QueueEntry[]> {
  const entries = await readJournal(site.paths.journal, view => [...view.queuedFrom(0, 1_000)])
  return entries ?? []
}

/**
 * Waits until all that was claimed is read and handed on, but for these files, or the parser has
 * died. A file is handed on once the runs are gone that it does not need any more.
 */
export async function untilDigested(
  site: Site,
  parser: Program,
  ...besides: readonly DataFile[]
): Promise<void> {
  const names = besides.map(({ name }) => name)
  await eventually('they are digested', async () => {
    if (!parser.isRunning()) return true
    const queue = await queueOf(site)
    const needed = new Set(queue.map(({ runName }) => runName))
    return (
      queue.every(({ stage, name }) => stage !== 'claimed' || names.includes(name)) &&
      list(site.paths.runs).every(name => needed.has(name))
    )
  })
}

/** Holds the ledger, so that no batch can begin: what is digested meanwhile makes one batch. */
export async function holdLedger(t: Teardown, site: Site): Promise<{ release(): Promise<void> }> {
  const session = await Session.open(site.address)
  const { uuid } = await openLedger(session, site.config)
  // Before it nothing is read.
  await takeOpening(session, site.config, uuid)
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
