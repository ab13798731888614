import type { Config } from '../../shared/config.ts'
import { boundedReason, type Outcome } from '../../shared/protocol.ts'
import { type ApplyResult, applyBatch, findBatch } from './apply.ts'
import type { Batch } from './batch.ts'
import { type DatabaseAddress, type Session, SessionKeeper } from './connection.ts'
import { type LedgerIdentity, openLedger } from './schema/opening.ts'
import { type LedgerNames, ledgerNames, sqlTime } from './schema/tables.ts'

/** A content's row in the ledger. */
export interface LedgerFile {
  readonly sha256: Buffer
  readonly sequence: bigint
  readonly instance: Buffer
  readonly workSequence: bigint
  readonly name: string
  readonly sizeBytes: bigint
  readonly lines: bigint
  readonly amount: string
  readonly state: 'applying' | 'applied' | 'reverted'
  /** UTC, see `fromSqlTime`. */
  readonly claimedAt: string
  readonly digestedAt: string
  readonly recordedAt: string
}

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

  constructor(options: {
    config: Config
    address: DatabaseAddress
    /** 16 bytes that name this state directory's parser. */
    instance: Uint8Array
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
  }

  open(): Promise<LedgerIdentity> {
    return this.#keeper.run(session => openLedger(session, this.#config))
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
    return (
      Buffer.compare(row.instance, this.#instance) === 0 &&
      row.workSequence === BigInt(workSequence)
    )
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

  /** P4 to P6, exactly once through any number of lost connections. */
  apply(batch: Batch): Promise<ApplyResult> {
    let sent = false
    return this.#keeper.run(async session => {
      if (sent) {
        const ledgerSequence = await findBatch(session, batch, this.#names)
        if (ledgerSequence !== undefined) return { kind: 'applied', ledgerSequence }
      }
      sent = true
      return await applyBatch(session, batch, {
        names: this.#names,
        instance: this.#instance,
        chunkPairsMax: this.#config.chunkPairsMax,
        onChunk: this.#onProgress,
      })
    })
  }

  /** Writes down a file that was not counted; once per work file, however often it is called. */
  async sight(sighting: Sighting): Promise<void> {
    await this.#keeper.run(async (session: Session) => {
      await session.execute(
        `INSERT INTO ${this.#names.sighting}
           (instance, work_sequence, sha256, name, outcome, reason, seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE reason = VALUES(reason)`,
        [
          this.#instance,
          sighting.workSequence,
          sighting.sha256 === undefined ? null : Buffer.from(sighting.sha256),
          sighting.name,
          sighting.outcome,
          boundedReason(sighting.reason),
          sqlTime(sighting.seenAtMs),
        ],
      )
    })
  }

  close(): Promise<void> {
    return this.#keeper.close()
  }
}

const FILE_COLUMNS = `sha256, sequence, instance, work_sequence AS workSequence, name,
  size_bytes AS sizeBytes, \`lines\`, amount, state,
  claimed_at AS claimedAt, digested_at AS digestedAt, recorded_at AS recordedAt`
