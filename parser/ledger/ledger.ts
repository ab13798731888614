import type { Config } from '../../shared/config.ts'
import type { ParserEvents } from '../../shared/events.ts'
import { U64_MAX } from '../../shared/limits.ts'
import type { Growth, Reason } from '../facts.ts'
import { TotalsWriter } from './adding/totals-writer.ts'
import { type ApplyResult, applyBatch } from './apply.ts'
import { contentsWithPrefix } from './asking/contents.ts'
import { type Named, namesakesOf } from './asking/namesakes.ts'
import {
  appliedAfter,
  filesOfBatch,
  lastOwnSequence,
  type OpenBatch,
  openBatches,
  ownFrom,
  rowOfWorkFile,
  rowsOfContents,
} from './asking/rows.ts'
import type { Batch } from './batch.ts'
import { blockBatch, findBatch } from './batch-row.ts'
import type { DatabaseAddress, Session } from './connection.ts'
import type { LedgerFile } from './file-rows.ts'
import { Hosts } from './hosts.ts'
import { findOverflow, type Overflow, tightenBound } from './overflow.ts'
import { findRefusedConsumer } from './refused-row.ts'
import { assertNoOtherLedger } from './schema/first-contact.ts'
import { seemsUnchanged } from './schema/glance.ts'
import { type Known, type LedgerIdentity, NOTHING_KNOWN, openLedger } from './schema/opening.ts'
import { checkRights } from './schema/rights.ts'
import { type LedgerNames, ledgerNames, type TotalsRange } from './schema/tables.ts'
import { NewestCounted } from './schema/witnesses.ts'
import { SessionKeeper } from './session-keeper.ts'
import { SideSession } from './side-session.ts'
import {
  type KeptSighting,
  readSighting,
  type Sighting,
  writeGrowth,
  writeSighting,
} from './sightings.ts'
import { databaseUnavailable } from './sql-errors.ts'

export type { OpenBatch }

export type LedgerResult =
  | Exclude<ApplyResult, { kind: 'unproven' | 'refused' }>
  /** The server refuses a row of it: nothing was written. */
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** This file would make a total overflow: nothing was written. */
  | ({ readonly kind: 'overflow' } & Overflow)

/**
 * The parser's side of the ledger: everything it asks of or writes to MariaDB. Each call goes on
 * through lost connections and restarts of the server until it has succeeded, is known to have
 * succeeded before, or fails for good; one call at a time.
 */
export class Ledger {
  readonly #hosts: Hosts
  readonly #keeper: SessionKeeper
  readonly #config: Config
  readonly #names: LedgerNames
  readonly #instance: Uint8Array
  readonly #events: ParserEvents
  readonly #signal: AbortSignal
  readonly #writer: TotalsWriter
  readonly #counted = new NewestCounted()
  readonly #side: SideSession
  #uuid: string | undefined
  #isResuming = true
  #identity: LedgerIdentity | undefined

  constructor(options: {
    config: Config
    /** Asked at each new connection: a password may have changed. */
    address: () => DatabaseAddress
    /** 16 bytes that name this state directory's parser. */
    instance: Uint8Array
    /** Ends waiting for a database that is away, and a batch between two of its chunks. */
    signal: AbortSignal
    events: ParserEvents
  }) {
    this.#hosts = new Hosts(options.address, host => options.events.emit('host', host))
    this.#keeper = new SessionKeeper({
      hosts: this.#hosts,
      signal: options.signal,
      inspect: async session => {
        await this.#inspect(session)
        // Only here: what people ask for must not wait for whoever locks the tables against writing.
        await checkRights(session, this.#names)
      },
      onChange: availability => options.events.emit('database', availability),
      onLongStatement: statement => options.events.emit('statement', statement),
    })
    this.#side = new SideSession(this.#hosts, session => this.#inspect(session))
    this.#config = options.config
    this.#names = ledgerNames(options.config)
    this.#instance = options.instance
    this.#events = options.events
    this.#signal = options.signal
    this.#writer = new TotalsWriter(this.#names)
  }

  /**
   * First of all calls.
   *
   * @param known from before, its contents newest first: this must be that ledger, now and on each
   *   later connection.
   * @throws CountersinkError DATABASE_UNFIT, LEDGER_UNFIT, LEDGER_BEHIND
   */
  async open(known: Omit<Known, 'isResuming'> = NOTHING_KNOWN): Promise<LedgerIdentity> {
    this.#uuid = known.uuid
    for (const witness of [...known.applied].reverse()) this.#counted.add(witness)
    return this.#keeper.run(async () => this.#known)
  }

  /** All batches that had begun before this start are looked after: what was counted stays so. */
  resumed(): void {
    this.#isResuming = false
  }

  /**
   * The rows of contents whose hash begins so, on a connection of its own.
   *
   * @throws CountersinkError DATABASE_UNAVAILABLE, and all that `open` throws: within a few seconds.
   */
  ask(prefix: string): Promise<LedgerFile[]> {
    // Until the journal was compared with it, it is not known that this is the ledger.
    if (this.#identity === undefined) throw databaseUnavailable('no connection was made yet')
    return this.#side.ask(session => contentsWithPrefix(session, this.#names, prefix))
  }

  async #inspect(session: Session): Promise<void> {
    const { newestFirst: applied } = this.#counted
    const known = { uuid: this.#uuid, applied, isResuming: this.#isResuming }
    const mayBegin = () => assertNoOtherLedger(this.#hosts.others(session), this.#config)
    this.#identity = await openLedger(session, this.#config, { ...known, mayBegin })
    this.#uuid = this.#identity.uuid
  }

  /** As the newest connection has found it. */
  get #known(): LedgerIdentity {
    if (this.#identity === undefined) throw databaseUnavailable('no connection was made yet')
    return this.#identity
  }

  get #range(): TotalsRange {
    return this.#known.range
  }

  /** Runs what writes, once it is certain that the database is still the one, and writable. */
  #write<T>(action: (session: Session) => Promise<T>): Promise<T> {
    return this.#keeper.run(async session => {
      const { newest } = this.#counted
      const isSame = await seemsUnchanged(session, this.#names, this.#known.uuid, newest)
      // Throws what is wrong with it; a ledger that has nothing counted yet has no totals either.
      if (!isSame) await this.#inspect(session)
      return action(session)
    })
  }

  /** The row of a content, as committed. */
  async find(sha256: Uint8Array): Promise<LedgerFile | undefined> {
    const [row] = (await this.findAll([sha256])).values()
    return row
  }

  /** The rows of contents, as committed, by their hash in hex. */
  findAll(contents: readonly Uint8Array[]): Promise<ReadonlyMap<string, LedgerFile>> {
    return this.#keeper.run(session => rowsOfContents(session, this.#names, contents))
  }

  /** Counted files of this parser that were claimed under this sequence or a later one. */
  ownFrom(workSequence: number, limit: number): Promise<LedgerFile[]> {
    return this.#keeper.run(session =>
      ownFrom(session, this.#names, this.#instance, { workSequence, limit, first: 'oldest' }),
    )
  }

  /** The highest sequence under which this parser ever had a file that the ledger knows of. */
  lastOwnSequence(): Promise<number> {
    return this.#keeper.run(session => lastOwnSequence(session, this.#names, this.#instance))
  }

  /** Whether this row is about the work file of that sequence in our own state directory. */
  isThisWorkFile(row: LedgerFile, workSequence: number): boolean {
    return this.isFromThisParser(row) && row.workSequence === BigInt(workSequence)
  }

  /** The row of a work file of our own state directory. */
  rowOf(name: string, workSequence: number): Promise<LedgerFile | undefined> {
    return this.#keeper.run(session =>
      rowOfWorkFile(session, this.#names, this.#instance, { name, workSequence }),
    )
  }

  /** Applied rows after a sequence, ascending: what a new journal's index is made from. */
  appliedAfter(sequence: bigint, limit: number): Promise<LedgerFile[]> {
    return this.#keeper.run(session => appliedAfter(session, this.#names, sequence, limit))
  }

  /**
   * P4 to P6, exactly once through any number of lost connections.
   *
   * @param begun the ledger may have heard of this batch: it is asked, and goes on where it stands.
   * @throws the signal's reason once it is raised: the batch may have begun, and must be finished
   *   from its sums by the next start. See `applyBatch` for what else.
   */
  async apply(batch: Batch, begun = false): Promise<LedgerResult> {
    let mayBeKnown = begun
    const startedAtMs = performance.now()
    const { pairs } = batch.sums
    const told = { batch: batch.id.toString('hex'), files: batch.files.length, pairs }
    const result = await this.#write(async session => {
      for (let checked = false; ; checked = true) {
        const known = mayBeKnown ? await findBatch(session, batch.id, this.#names) : undefined
        mayBeKnown = true
        const result = await applyBatch(session, batch, known, {
          names: this.#names,
          uuid: this.#known.uuid,
          instance: this.#instance,
          chunkPairsMax: this.#config.chunkPairsMax,
          range: this.#range,
          readsBack: !this.#known.seesTriggers,
          checked,
          onBegun: () => this.#events.emit('begun', told),
          onChunk: pairs => this.#events.emit('chunk', { batch: told.batch, pairs }),
          writer: this.#writer,
          signal: this.#signal,
        })
        if (result.kind === 'refused') return await this.#namingTheRow(session, batch, result)
        if (result.kind !== 'unproven') return result
        const overflow = await this.#findOverflow(session, batch)
        if (overflow !== undefined) return { kind: 'overflow', ...overflow } as const
        // All fit, and still the server refused one: the table is not what it was looked at as.
        if (checked)
          throw databaseUnavailable('the table of totals has changed; it is looked at anew')
      }
    })
    if (result.kind === 'applied') {
      const countMs = Math.round(performance.now() - startedAtMs)
      this.#events.emit('applied', { ...told, countMs })
      for (const { sha256 } of batch.files) {
        this.#counted.add({ sha256, sequence: result.sequences.get(hexOf(sha256)) })
      }
    }
    return result
  }

  /** Of a single file: whose row it is. A larger batch is tried in parts by the caller. */
  async #namingTheRow(
    session: Session,
    batch: Batch,
    { kind, reason }: ApplyResult & { kind: 'refused' },
  ): Promise<LedgerResult> {
    const [file, another] = batch.files
    const refused = (which: string): LedgerResult => ({
      kind,
      reason: { code: 'TOTAL_REFUSED', text: `MariaDB refuses ${which}: ${reason}` },
    })
    if (file === undefined || another !== undefined) return refused('a row of it')
    const consumer = await findRefusedConsumer(
      session,
      this.#writer,
      file.sums,
      this.#config.chunkPairsMax,
    )
    return refused(consumer === undefined ? 'a row of it' : `the row of consumer ${consumer}`)
  }

  async #findOverflow(session: Session, batch: Batch): Promise<Overflow | undefined> {
    const limits = { names: this.#names, range: this.#range }
    const largest = batch.files.reduce((sum, file) => sum + file.largestSum, 0n)
    const fits = await tightenBound(session, largest, limits)
    const idsAlwaysFit = this.#range.idMax >= U64_MAX
    return fits && idsAlwaysFit ? undefined : findOverflow(session, batch.files, limits)
  }

  /** Batches that have begun and not ended, of whichever parser. */
  openBatches(): Promise<OpenBatch[]> {
    return this.#keeper.run(session => openBatches(session, this.#names))
  }

  /** The rows of a batch's files, in the order in which they were written. */
  filesOf(batchId: Uint8Array): Promise<LedgerFile[]> {
    return this.#keeper.run(session => filesOfBatch(session, this.#names, batchId))
  }

  /** Whether this row, of a file or of a batch, was written by this state directory's parser. */
  isFromThisParser(row: { readonly instance: Buffer }): boolean {
    return Buffer.compare(row.instance, this.#instance) === 0
  }

  /** From now on these files, and the batch they are in, are this parser's. */
  async takeOver(
    batchId: Uint8Array,
    files: readonly { readonly sha256: Uint8Array; readonly workSequence: number }[],
  ): Promise<void> {
    await this.#write(async session => {
      for (const { sha256, workSequence } of files) {
        await session.execute(
          `UPDATE ${this.#names.file} SET instance = ?, work_sequence = ?
            WHERE sha256 = ? AND batch_id = ?`,
          [this.#instance, workSequence, Buffer.from(sha256), Buffer.from(batchId)],
        )
      }
      await session.execute(`UPDATE ${this.#names.batch} SET instance = ? WHERE id = ?`, [
        this.#instance,
        Buffer.from(batchId),
      ])
    })
  }

  /** A batch that can be finished by nobody. */
  async block(batchId: Uint8Array): Promise<void> {
    await this.#write(session => blockBatch(session, batchId, this.#names))
  }

  /** Names of files just counted that were counted with other contents too: how many each has. */
  namesakesOf(files: readonly Named[]): Promise<ReadonlyMap<string, number>> {
    return this.#keeper.run(session => namesakesOf(session, this.#names, files))
  }

  /** Writes down a file that was not counted; once per work file, however often it is called. */
  async sight(sighting: Sighting): Promise<void> {
    await this.#write(session => writeSighting(session, this.#names, this.#instance, sighting))
  }

  /** What was written down of a work file of our own state directory. */
  sightingOf(name: string, workSequence: number): Promise<KeptSighting | undefined> {
    return this.#keeper.run(session =>
      readSighting(session, this.#names, this.#instance, { name, workSequence }),
    )
  }

  /** Writes down that a content's file changed after it was counted. */
  async sightGrowth(growth: Growth): Promise<void> {
    await this.#write(session => writeGrowth(session, this.#names, growth))
  }

  async close(): Promise<void> {
    await Promise.all([this.#keeper.close(), this.#side.close()])
  }
}

function hexOf(sha256: Uint8Array): string {
  return Buffer.from(sha256).toString('hex')
}
