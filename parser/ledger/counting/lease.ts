/**
 * Who counts. However many parsers share a ledger, one at a time moves totals: the holder of the
 * lease, one row. It saves the others from waiting for each other's rows, and it is a fence: every
 * transaction that counts begins by changing that row under the holder's epoch, so that one who has
 * lost it changes no total any more, whenever it wakes up. (A lock on the row alone would not do: on
 * a cluster an earlier holder could still commit.)
 *
 * - **free**: nobody's, or not renewed for its length by the server's clock. Anybody may take it.
 * - **held**: renewed by every transaction that counts, and now and then by who counts and only reads
 *   for long. A parser takes it from its own former life at once.
 * - **lost**: somebody else has taken it. Whoever notices has counted nothing in that transaction, and
 *   goes on as one of those who only record.
 *
 * The holder may do two things at a time, each on a connection of its own: what goes on beside counting is
 * bound to one holding (`holding`), and asks for the row last, so that neither waits while the other works.
 *
 * A holder that is stopped in the middle of a transaction holds up its successor until the server ends
 * the transaction, which it does after the length of the lease (`idle_transaction_timeout`).
 */

import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'

/** What a transaction that moves something must pass. */
export interface Fence {
  /** @throws CountersinkError LEASE_LOST: the transaction must be rolled back. */
  fence(session: Session): Promise<void>
}

export class Lease implements Fence {
  readonly #names: LedgerNames
  readonly #instance: Buffer
  readonly #lengthMs: () => number
  #epoch: bigint | undefined
  /** When it was last taken or kept: what else renews it may be rolled back. */
  #keptAtMs = 0

  constructor(options: {
    names: LedgerNames
    /** 16 bytes that name this parser. */
    instance: Uint8Array
    lengthMs: () => number
  }) {
    this.#names = options.names
    this.#instance = Buffer.from(options.instance)
    this.#lengthMs = options.lengthMs
  }

  /** As far as is known here: only `fence` makes sure. */
  get isHeld(): boolean {
    return this.#epoch !== undefined
  }

  /** Changes with each taking; undefined: it is not held. */
  get epoch(): bigint | undefined {
    return this.#epoch
  }

  /**
   * Takes it if it is free. For whoever has something to count: one that is held, and idle, is not
   * renewed, and is its holder's until somebody else needs it.
   *
   * @returns whether it is held now, as far as is known.
   */
  async take(session: Session): Promise<boolean> {
    if (this.#epoch !== undefined) return true
    // Whoever counts has the row locked from one commit to the next: it is not waited for.
    const [free] = await session.query(
      `SELECT 1 FROM ${this.#names.lease}
        WHERE only_row = 1 AND (holder = ? OR until < UTC_TIMESTAMP(3))`,
      [this.#instance],
    )
    if (free === undefined) return false
    const startedAtMs = performance.now()
    await session.execute('START TRANSACTION')
    const changed = await session.execute(
      `UPDATE ${this.#names.lease}
          SET epoch = epoch + 1, moves = moves + 1, holder = ?, until = ${UNTIL}
        WHERE only_row = 1 AND (holder = ? OR until < UTC_TIMESTAMP(3))`,
      [this.#instance, this.#lengthMicroseconds, this.#instance],
    )
    if (changed === 1) {
      const [row] = await session.query<{ epoch: bigint }>(
        `SELECT epoch FROM ${this.#names.lease} WHERE only_row = 1`,
      )
      await session.execute('COMMIT')
      this.#epoch = row?.epoch
      this.#keptAtMs = startedAtMs
    } else await session.rollback()
    return this.isHeld
  }

  /**
   * The first statement of every transaction that counts.
   *
   * @throws CountersinkError LEASE_LOST: somebody else counts now. The transaction must be rolled back.
   */
  async fence(session: Session): Promise<void> {
    await this.#pass(session, this.#epoch)
  }

  /**
   * The fence of what is read from now on to be written later: it does not pass once the lease was lost,
   * though it was taken again.
   *
   * @throws CountersinkError LEASE_LOST: it is not held.
   */
  holding(): Fence {
    const epoch = this.#epoch
    if (epoch === undefined) throw leaseLost()
    return { fence: session => this.#pass(session, epoch) }
  }

  /**
   * Renews it, if a part of its length has passed: for whoever looks at much before it writes again. It
   * costs nothing otherwise. Outside of a transaction.
   *
   * @throws CountersinkError LEASE_LOST
   */
  async keep(session: Session): Promise<void> {
    const startedAtMs = performance.now()
    if (startedAtMs - this.#keptAtMs < this.#lengthMs() * KEPT_AFTER) return
    await transaction(session, () => this.fence(session))
    this.#keptAtMs = startedAtMs
  }

  /** Lets the next one begin at once. */
  async release(session: Session): Promise<void> {
    const epoch = this.#epoch
    this.#epoch = undefined
    if (epoch === undefined) return
    await session.execute(
      `UPDATE ${this.#names.lease} SET until = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND
        WHERE only_row = 1 AND epoch = ?`,
      [epoch],
    )
  }

  async #pass(session: Session, epoch: bigint | undefined): Promise<void> {
    if (epoch !== undefined && epoch === this.#epoch) {
      const changed = await session.execute(
        `UPDATE ${this.#names.lease} SET moves = moves + 1, until = ${UNTIL}
          WHERE only_row = 1 AND epoch = ?`,
        [this.#lengthMicroseconds, epoch],
      )
      if (changed === 1) return
      if (epoch === this.#epoch) this.#epoch = undefined
    }
    throw leaseLost()
  }

  get #lengthMicroseconds(): number {
    return Math.round(this.#lengthMs() * 1_000)
  }
}

function leaseLost(): CountersinkError {
  return new CountersinkError('LEASE_LOST', 'another parser counts now')
}

const UNTIL = 'UTC_TIMESTAMP(3) + INTERVAL ? MICROSECOND'
/** Of its length: what is done until it is kept the next time may be slow. */
const KEPT_AFTER = 1 / 4
