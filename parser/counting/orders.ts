/**
 * What people have asked for by orders in the ledger, carried out by whoever counts: after the batches that
 * have begun, before what waits to be counted. One that has to wait for something is looked at again and
 * again, and holds up nothing; one whose batch is taken back again and again without anybody to blame is
 * declined.
 */

import { describeError, hasCode } from '../../shared/errors.ts'
import type { WaitingOrders } from '../../shared/health.ts'
import type { Log } from '../../shared/log.ts'
import { hexOf } from '../facts.ts'
import {
  type FileOrder,
  isFileOrder,
  type Ledger,
  type Order,
  type OrderResult,
} from '../ledger/index.ts'

export class Orders {
  readonly #ledger: Ledger
  readonly #log: Log
  /** How often the batches of orders were taken back, by their ids. */
  readonly #tries = new Map<string, number>()
  /** In this round through all of them. */
  readonly #met = new Set<string>()
  /** Where the next look begins; undefined: with the oldest. */
  #last: Order | undefined
  readonly #waits = new Map<string, { readonly kind: string; readonly why: string }>()

  constructor(options: { ledger: Ledger; log: Log }) {
    this.#ledger = options.ledger
    this.#log = options.log
  }

  /** For `status`; undefined: none waits, as far as is known here. */
  get report(): WaitingOrders | undefined {
    if (this.#waits.size === 0) return undefined
    return { orders: this.#waits.size, first: [...this.#waits.values()].slice(0, NAMED_MAX) }
  }

  async hasSome(): Promise<boolean> {
    return (await this.#ledger.counter.waitingOrders(1)).length > 0
  }

  /**
   * Carries out those that can be now.
   *
   * @returns `recorder`: somebody else counts now; else whether there was one.
   * @throws the signal's reason between two chunks
   */
  async carryOut(): Promise<'recorder' | boolean> {
    const orders = await this.#ledger.counter.waitingOrders(ORDERS_AT_ONCE, this.#last)
    // All others in turn, however many wait.
    this.#last = orders.length < ORDERS_AT_ONCE ? undefined : orders.at(-1)
    if (this.#last === undefined) this.#forgetOld(orders)
    let hasDone = false
    for (const order of orders) {
      const kind = await this.#one(order)
      if (kind === 'recorder') return 'recorder'
      if (kind !== 'waits') hasDone = true
    }
    return hasDone
  }

  /** Of orders that were not met for two rounds nothing needs to be known. */
  #forgetOld(orders: readonly Order[]): void {
    for (const { id } of orders) this.#met.add(hexOf(id))
    for (const known of [this.#tries, this.#waits]) {
      for (const id of known.keys()) if (!this.#met.has(id)) known.delete(id)
    }
    this.#met.clear()
  }

  async #one(order: Order): Promise<string> {
    this.#met.add(hexOf(order.id))
    const result = await this.#carryOut(order)
    if (result.kind === 'waits') {
      this.#waits.set(hexOf(order.id), { kind: order.kind, why: result.why })
    } else this.#waits.delete(hexOf(order.id))
    switch (result.kind) {
      case 'done':
      case 'applied':
        this.#log.notice('carried out an order', told(order))
        break
      case 'declined':
        this.#tellDeclined(order, result.why)
        break
      case 'given back':
        return isFileOrder(order) ? this.#tryAgain(order) : result.kind
    }
    return result.kind
  }

  /** Whoever finishes what has begun says so, and tries again. */
  async #carryOut(order: Order): Promise<OrderResult> {
    try {
      return await this.#ledger.counter.carryOut(order)
    } catch (error) {
      if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
      return { kind: 'waits', why: describeError(error) }
    }
  }

  async #tryAgain(order: FileOrder): Promise<string> {
    const id = hexOf(order.id)
    const tries = (this.#tries.get(id) ?? 0) + 1
    this.#tries.set(id, tries)
    if (tries < TRIES_MAX) return 'given back'
    const why = `TOTAL_REFUSED: its batch was taken back ${tries} times, each time for a reason that was gone then`
    const result = await this.#ledger.counter.decline(order, why)
    if (result.kind === 'declined') this.#tellDeclined(order, why)
    return result.kind
  }

  #tellDeclined(order: Order, why: string): void {
    this.#log.warn('an order cannot be carried out', {
      ...{ code: 'ORDER_DECLINED', ...told(order) },
      reason: why,
    })
  }
}

function told({ id, kind, old, new: other }: Order): Readonly<Record<string, string>> {
  return {
    ...{ order: hexOf(id), kind },
    ...(old === null ? {} : { file: `${old}` }),
    ...(other === null ? {} : { instead: `${other}` }),
  }
}

/** Looked at between two batches. */
const ORDERS_AT_ONCE = 50
const TRIES_MAX = 3
const NAMED_MAX = 3
