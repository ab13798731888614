import type { StatePaths } from '../../shared/paths.ts'
import type { TrailQuestion } from '../../shared/protocol.ts'
import type { Growth } from '../facts.ts'
import { contentsWithPrefix, type KnownContent } from './asking/contents.ts'
import { type Named, namesakesOf, otherContentsOf } from './asking/namesakes.ts'
import {
  appliedAfter,
  filesOfBatch,
  forgetMove,
  heldFiles,
  lastOwnSequence,
  type OpenBatch,
  openBatches,
  ownFrom,
  rowOfWorkFile,
  rowsOfContents,
  toBeMoved,
} from './asking/rows.ts'
import {
  findTrails,
  type LedgerTrails,
  type WholeLedgerTrail,
  wholeTrail,
} from './asking/trails.ts'
import { Counter } from './counting/counter.ts'
import { Lease } from './counting/lease.ts'
import { type LedgerFile, type Offer, offerAgain, originOf, type Published } from './file-rows.ts'
import { LedgerConnection, type LedgerConnectionOptions } from './ledger-connection.ts'
import { Roller } from './periods/roller.ts'
import { UsageKeeper } from './periods/usage-keeper.ts'
import { Recorder } from './recording/recorder.ts'
import { type Known, type LedgerIdentity, NOTHING_KNOWN } from './schema/opening.ts'
import type { OpeningTaken } from './schema/opening-balance.ts'
import {
  type KeptSighting,
  readSighting,
  type Sighting,
  writeGrowth,
  writeSighting,
} from './sightings.ts'

export type { OpenBatch }

/**
 * The parser's side of the ledger: everything it asks of or writes to MariaDB. Each call goes on
 * through lost connections and restarts of the server until it has succeeded, is known to have
 * succeeded before, or fails for good.
 */
export class Ledger {
  readonly recorder: Recorder
  readonly counter: Counter
  readonly roller: Roller
  readonly #connection: LedgerConnection

  constructor(
    options: LedgerConnectionOptions & { readonly paths?: Pick<StatePaths, 'timeZone'> },
  ) {
    this.#connection = new LedgerConnection(options)
    this.recorder = new Recorder(this.#connection)
    const { names, instance, config, signal } = this.#connection
    const lease = new Lease({ names, instance, lengthMs: () => config.takeoverMs })
    const zonePath = options.paths?.timeZone
    const usage = new UsageKeeper({ names, config, instance, signal, lease, zonePath })
    this.counter = new Counter(this.#connection, lease, usage)
    this.roller = new Roller(this.#connection, usage)
  }

  /**
   * First of all calls.
   *
   * @param known from before, its contents newest first: this must be that ledger, now and on each
   *   later connection.
   * @throws CountersinkError DATABASE_UNFIT, LEDGER_UNFIT, LEDGER_BEHIND
   */
  async open(known: Known = NOTHING_KNOWN): Promise<LedgerIdentity> {
    this.#connection.expect(known)
    return this.#connection.open()
  }

  /**
   * Takes the opening balance, unless it is taken: before anything is claimed, and after batches that
   * had begun were looked after.
   */
  takeOpening(): Promise<OpeningTaken | undefined> {
    return this.#connection.takeOpening()
  }

  /**
   * The rows of contents whose hash begins so, on a connection of its own.
   *
   * @throws CountersinkError DATABASE_UNAVAILABLE, and all that `open` throws: within a few seconds.
   */
  ask(prefix: string): Promise<KnownContent[]> {
    const { names } = this.#connection
    return this.#connection.aside(session => contentsWithPrefix(session, names, prefix))
  }

  /** Which files and contents are meant; on a connection of its own, as `ask`. */
  findTrails(question: TrailQuestion): Promise<LedgerTrails> {
    const { names } = this.#connection
    return this.#connection.aside(session => findTrails(session, names, question))
  }

  /** All that is kept of a content, in the same way. */
  wholeTrail(sha256: string): Promise<WholeLedgerTrail> {
    const { names } = this.#connection
    return this.#connection.aside(session => wholeTrail(session, names, sha256))
  }

  /** The row of a content, as committed. */
  async find(sha256: Uint8Array): Promise<LedgerFile | undefined> {
    const [row] = (await this.findAll([sha256])).values()
    return row
  }

  /** The rows of contents, as committed, by their hash in hex. */
  findAll(contents: readonly Uint8Array[]): Promise<ReadonlyMap<string, LedgerFile>> {
    const { names } = this.#connection
    return this.#connection.files.read(session => rowsOfContents(session, names, contents))
  }

  /** Counted files of this parser that were claimed under this sequence or a later one. */
  ownFrom(workSequence: number, limit: number): Promise<LedgerFile[]> {
    const { names, instance } = this.#connection
    return this.#connection.files.read(session =>
      ownFrom(session, names, instance, { workSequence, limit, first: 'oldest' }),
    )
  }

  /** The highest sequence under which this parser ever had a file that the ledger knows of. */
  lastOwnSequence(): Promise<number> {
    const { names, instance } = this.#connection
    return this.#connection.files.read(session => lastOwnSequence(session, names, instance))
  }

  /** Whether this row is about the work file of that sequence in our own state directory. */
  isThisWorkFile(row: LedgerFile, workSequence: number): boolean {
    return this.isFromThisParser(row) && row.workSequence === BigInt(workSequence)
  }

  /** Whether this row came with the publication that this file is, by whichever parser. */
  isThisPublication(row: LedgerFile, file: Published): boolean {
    return row.origin.equals(originOf(this.#connection.instance, file))
  }

  /** Whether this row was written by this state directory's parser. */
  isFromThisParser(row: { readonly instance: Buffer }): boolean {
    return Buffer.compare(row.instance, this.#connection.instance) === 0
  }

  /** The row of a work file of our own state directory. */
  rowOf(name: string, workSequence: number): Promise<LedgerFile | undefined> {
    const { names, instance } = this.#connection
    return this.#connection.files.read(session =>
      rowOfWorkFile(session, names, instance, { name, workSequence }),
    )
  }

  /** Applied rows after a sequence, ascending: what a new journal's index is made from. */
  appliedAfter(sequence: bigint, limit: number): Promise<LedgerFile[]> {
    const { names } = this.#connection
    return this.#connection.files.read(session => appliedAfter(session, names, sequence, limit))
  }

  /** Batches that have begun and not ended, of whichever parser. */
  openBatches(): Promise<OpenBatch[]> {
    const { names } = this.#connection
    return this.#connection.files.read(session => openBatches(session, names))
  }

  /** The rows of a batch's files, in the order in which they were claimed. */
  filesOf(batchId: Uint8Array): Promise<LedgerFile[]> {
    const { names } = this.#connection
    return this.#connection.files.read(session => filesOfBatch(session, names, batchId))
  }

  /**
   * A content that is refused was published once more, as this work file: it waits to be counted again,
   * under its name. Does nothing unless it is refused.
   */
  async offerAgain(row: LedgerFile, file: Offer): Promise<void> {
    const { names, instance } = this.#connection
    await this.#connection.files.write(session =>
      offerAgain(session, names, instance, { row, ...file }),
    )
  }

  /** Files of this parser that were settled before their rows have come where they are now. */
  toBeMoved(limit: number, behind: bigint): Promise<LedgerFile[]> {
    const { names, instance } = this.#connection
    return this.#connection.files.read(session =>
      toBeMoved(session, names, instance, { limit, behind }),
    )
  }

  /** Files that a person decides about, of whichever parser. */
  heldFiles(limit: number): ReturnType<typeof heldFiles> {
    const { names } = this.#connection
    return this.#connection.files.read(session => heldFiles(session, names, limit))
  }

  /** It stands where its row says, unless that says something else by now. */
  async moved(row: LedgerFile): Promise<void> {
    const { names } = this.#connection
    await this.#connection.files.write(session => forgetMove(session, names, row))
  }

  /** A file of this parser was counted, by whomever: each connection from now on must lead to its row. */
  counted({ sha256, sequence }: LedgerFile): void {
    this.#connection.counted(sha256, sequence)
  }

  /** Names of files just counted that were counted with other contents too: how many each has. */
  namesakesOf(files: readonly Named[]): Promise<ReadonlyMap<string, number>> {
    const { names } = this.#connection
    return this.#connection.files.read(session => namesakesOf(session, names, files))
  }

  /** Of these files those whose name another content has that is counted, or may be: that one, each by hash in hex. */
  otherContentsOf(files: readonly Named[]): Promise<ReadonlyMap<string, Buffer>> {
    const { names } = this.#connection
    return this.#connection.files.read(session => otherContentsOf(session, names, files))
  }

  /** Writes down a file that was not counted; once per work file, however often it is called. */
  async sight(sighting: Sighting): Promise<void> {
    const { names, instance } = this.#connection
    await this.#connection.files.write(session => writeSighting(session, names, instance, sighting))
  }

  /** What was written down of a work file of our own state directory. */
  sightingOf(name: string, workSequence: number): Promise<KeptSighting | undefined> {
    const { names, instance } = this.#connection
    return this.#connection.files.read(session =>
      readSighting(session, names, instance, { name, workSequence }),
    )
  }

  /** Writes down that a content's file changed after it was counted. */
  async sightGrowth(growth: Growth): Promise<void> {
    const { names } = this.#connection
    await this.#connection.files.write(session => writeGrowth(session, names, growth))
  }

  /** Lets another parser count at once. */
  async close(): Promise<void> {
    await this.#connection.close(session => this.counter.releaseLease(session))
  }
}
