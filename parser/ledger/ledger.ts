import type { Config } from '../../shared/config.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { boundedReason, type Outcome } from '../../shared/protocol.ts'
import { type ApplyResult, applyBatch, findBatch } from './apply.ts'
import type { Batch } from './batch.ts'
import { type DatabaseAddress, type Session, SessionKeeper } from './connection.ts'
import { findOverflow, type Overflow, tightenBound } from './overflow.ts'
import { type LedgerIdentity, openLedger } from './schema/opening.ts'
import { type LedgerNames, ledgerNames, sqlTime, type TotalsRange } from './schema/tables.ts'
import { TotalsWriter } from './totals-writer.ts'

/** A content's row in the ledger. */
export interface LedgerFile {
  readonly sha256: Buffer
  readonly sequence: bigint
  readonly batchId: Buffer
  readonly instance: Buffer
  readonly workSequence: bigint
  readonly name: string
  readonly sizeBytes: bigint
  readonly lines: bigint
  readonly amount: string
  readonly largestSum: bigint
  readonly state: 'applying' | 'applied' | 'reverted'
  /** UTC, see `fromSqlTime`. */
  readonly claimedAt: string
  readonly digestedAt: string
  readonly recordedAt: string
}

/** A batch that is not finished. */
export interface OpenBatch {
  readonly id: Buffer
  readonly instance: Buffer
  readonly state: 'applying' | 'blocked'
  readonly cursorId: bigint | null
  readonly pairsPlanned: bigint
  readonly amountPlanned: string
}

export type LedgerResult =
  | Exclude<ApplyResult, { kind: 'unproven' }>
  /** This file would make a total overflow: nothing was written. */
  | ({ readonly kind: 'overflow' } & Overflow)

/** A file that was not counted, and why. */
export interface Sighting {
  readonly workSequence: number
  readonly sha256: Uint8Array | undefined
  readonly name: string
  readonly outcome: Exclude<Outcome, 'applied'>
  readonly reason: string
  readonly seenAtMs: number
}

/**
 * The parser's side of the ledger: everything it asks of or writes to MariaDB. Each call goes on
 * through lost connections and restarts of the server until it has succeeded, is known to have
 * succeeded before, or fails for good; one call at a time.
 */
export class Ledger {
  readonly #keeper: SessionKeeper
  readonly #config: Config
  readonly #names: LedgerNames
  readonly #instance: Uint8Array
  readonly #onProgress: () => void
  readonly #signal: AbortSignal
  readonly #writer: TotalsWriter
  #range: TotalsRange = { idMax: 0n, amountMax: 0n }

  constructor(options: {
    config: Config
    address: DatabaseAddress
    /** 16 bytes that name this state directory's parser. */
    instance: Uint8Array
    /** Ends waiting for a database that is away, and a batch between two of its chunks. */
    signal: AbortSignal
    onAvailability: (unavailableBecause: string | undefined) => void
    onProgress: () => void
  }) {
    this.#keeper = new SessionKeeper({
      address: options.address,
      signal: options.signal,
      onChange: options.onAvailability,
    })
    this.#config = options.config
    this.#names = ledgerNames(options.config)
    this.#instance = options.instance
    this.#onProgress = options.onProgress
    this.#signal = options.signal
    this.#writer = new TotalsWriter(this.#names)
  }

  /** First of all calls. @throws what `openLedger` throws. */
  async open(mayCreate = true): Promise<LedgerIdentity> {
    const identity = await this.#keeper.run(session => openLedger(session, this.#config, mayCreate))
    this.#range = identity.range
    return identity
  }

  /** The row of a content, as committed. */
  find(sha256: Uint8Array): Promise<LedgerFile | undefined> {
    return this.#keeper.run(async session => {
      const [row] = await session.query<LedgerFile>(
        `SELECT ${FILE_COLUMNS} FROM ${this.#names.file} WHERE sha256 = ?`,
        [Buffer.from(sha256)],
      )
      return row
    })
  }

  /** Whether this row is about the work file of that sequence in our own state directory. */
  isOwn(row: LedgerFile, workSequence: number): boolean {
    return this.isOurs(row) && row.workSequence === BigInt(workSequence)
  }

  /** The row of a work file of our own state directory; by its name, which is indexed. */
  rowOf(name: string, workSequence: number): Promise<LedgerFile | undefined> {
    return this.#keeper.run(async session => {
      const [row] = await session.query<LedgerFile>(
        `SELECT ${FILE_COLUMNS} FROM ${this.#names.file}
          WHERE name = ? AND work_sequence = ? AND instance = ?`,
        [name, workSequence, this.#instance],
      )
      return row
    })
  }

  /** Applied rows after a sequence, ascending: what a new journal's index is made from. */
  appliedAfter(sequence: bigint, limit: number): Promise<LedgerFile[]> {
    return this.#keeper.run(session =>
      session.query<LedgerFile>(
        `SELECT ${FILE_COLUMNS} FROM ${this.#names.file}
          WHERE sequence > ? AND state = 'applied' ORDER BY sequence LIMIT ?`,
        [sequence, limit],
      ),
    )
  }

  /**
   * P4 to P6, exactly once through any number of lost connections.
   *
   * @param begun the ledger may have heard of this batch: it is asked, and goes on where it stands.
   * @throws the signal's reason once it is raised: the batch may have begun, and must be finished
   *   from its sums by the next start. See `applyBatch` for what else.
   */
  apply(batch: Batch, begun = false): Promise<LedgerResult> {
    let mayBeKnown = begun
    return this.#keeper.run(async session => {
      for (let checked = false; ; checked = true) {
        const known = mayBeKnown ? await findBatch(session, batch.id, this.#names) : undefined
        mayBeKnown = true
        const result = await applyBatch(session, batch, known, {
          names: this.#names,
          instance: this.#instance,
          chunkPairsMax: this.#config.chunkPairsMax,
          range: this.#range,
          checked,
          onChunk: this.#onProgress,
          writer: this.#writer,
          signal: this.#signal,
        })
        if (result.kind !== 'unproven') return result
        const overflow = await this.#findOverflow(session, batch)
        if (overflow !== undefined) return { kind: 'overflow', ...overflow }
      }
    })
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
    return this.#keeper.run(session =>
      session.query<OpenBatch>(
        `SELECT id, instance, state, cursor_id AS cursorId, pairs_planned AS pairsPlanned,
                amount_planned AS amountPlanned
           FROM ${this.#names.batch} WHERE state <> 'applied' ORDER BY begun_at, id`,
      ),
    )
  }

  filesOf(batchId: Uint8Array): Promise<LedgerFile[]> {
    return this.#keeper.run(session =>
      session.query<LedgerFile>(
        `SELECT ${FILE_COLUMNS} FROM ${this.#names.file} WHERE batch_id = ? ORDER BY sequence`,
        [Buffer.from(batchId)],
      ),
    )
  }

  /** Whether this row, of a file or of a batch, was written by this state directory's parser. */
  isOurs(row: { readonly instance: Buffer }): boolean {
    return Buffer.compare(row.instance, this.#instance) === 0
  }

  /** From now on these files, and the batch they are in, are this parser's. */
  async takeOver(
    batchId: Uint8Array,
    files: readonly { readonly sha256: Uint8Array; readonly workSequence: number }[],
  ): Promise<void> {
    await this.#keeper.run(async session => {
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
    await this.#keeper.run(session =>
      session.execute(
        `UPDATE ${this.#names.batch} SET state = 'blocked' WHERE id = ? AND state = 'applying'`,
        [Buffer.from(batchId)],
      ),
    )
  }

  /** Writes down a file that was not counted; once per work file, however often it is called. */
  async sight(sighting: Sighting): Promise<void> {
    await this.#keeper.run(async (session: Session) => {
      await session.execute(
        `INSERT INTO ${this.#names.sighting}
           (instance, work_sequence, sha256, name, outcome, reason, seen_at)
         SELECT ?, ?, ?, ?, ?, ?, ? FROM DUAL
          WHERE NOT EXISTS (SELECT 1 FROM ${this.#names.file}
                             WHERE sha256 = ? AND instance = ? AND work_sequence = ?
                               AND state = 'applied')
         ON DUPLICATE KEY UPDATE reason = VALUES(reason)`,
        [
          this.#instance,
          sighting.workSequence,
          sighting.sha256 === undefined ? null : Buffer.from(sighting.sha256),
          sighting.name,
          sighting.outcome,
          boundedReason(sighting.reason),
          sqlTime(sighting.seenAtMs),
          sighting.sha256 === undefined ? null : Buffer.from(sighting.sha256),
          this.#instance,
          sighting.workSequence,
        ],
      )
    })
  }

  close(): Promise<void> {
    return this.#keeper.close()
  }
}

const FILE_COLUMNS = `sha256, sequence, batch_id AS batchId, instance, work_sequence AS workSequence, name,
  size_bytes AS sizeBytes, \`lines\`, amount, largest_sum AS largestSum, state,
  claimed_at AS claimedAt, digested_at AS digestedAt, recorded_at AS recordedAt`
