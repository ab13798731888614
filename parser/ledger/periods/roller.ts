import { hasCode } from '../../../shared/errors.ts'
import type { LedgerConnection } from '../ledger-connection.ts'
import type { RollUps, Unrolled } from './upkeep.ts'
import type { UsageKeeper, UsageResult } from './usage-keeper.ts'

/**
 * Brings what was counted into its hours, days and months, as long as this parser holds the lease, on a
 * connection of its own: counting goes on beside it.
 */
export class Roller {
  readonly #connection: LedgerConnection
  readonly #usage: UsageKeeper

  constructor(connection: LedgerConnection, usage: UsageKeeper) {
    this.#connection = connection
    this.#usage = usage
  }

  /** First of all calls at a start: what was set may be another than the last time. */
  noteSettings(): Promise<void> {
    return this.#usage.noteSettings()
  }

  /** What was counted and is in no period yet; undefined: usage is not kept by time. */
  async unrolled(): Promise<Unrolled | undefined> {
    if (!this.#usage.isKept) return undefined
    return this.#connection.usage.read(session => this.#usage.unrolled(session))
  }

  /**
   * Keeps usage by time, for a while.
   *
   * @param rollUps what is begun, unless something is under way.
   * @returns `recorder`: another parser counts, and keeps it.
   * @throws the signal's reason between two parts
   */
  goOn(rollUps: RollUps): Promise<UsageResult | { readonly kind: 'recorder' }> {
    return this.#connection.usage.write(async session => {
      try {
        return await this.#usage.goOn(session, rollUps)
      } catch (error) {
        if (hasCode(error, 'LEASE_LOST')) return { kind: 'recorder' } as const
        throw error
      }
    })
  }
}
