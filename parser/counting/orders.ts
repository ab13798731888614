/**
 * What people have asked for by orders in the ledger, carried out by whoever counts: after the batches that
 * have begun, before what waits to be counted. One that has to wait for something is looked at again and
 * again, and holds up nothing; one whose batch is taken back again and again without anybody to blame is
 * declined.
 */

import type { WaitingOrders } from '../../shared/health.ts'
import type { Log } from '../../shared/log.ts'
import { hexOf } from '../facts.ts'
import { type FileOrder, isFileOrder, type Ledger, type Order } from '../ledger/index.ts'

export class Orders {
  readonly #ledger: Ledger
  readonly #log: Log
  /** How often the batches of orders were taken back, by their ids. */
  readonly #tries = new Map<string, number>()
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
    const orders = await this.#ledger.counter.waitingOrders(ORDERS_AT_ONCE)
    const waiting = new Set(orders.map(({ id }) => hexOf(id)))
    for (const id of this.#tries.keys()) if (!waiting.has(id)) this.#tries.delete(id)
    for (const id of this.#waits.keys()) if (!waiting.has(id)) this.#waits.delete(id)
    let hasDone = false
    for (const order of orders) {
      const kind = await this.#one(order)
      if (kind === 'recorder') return 'recorder'
      if (kind !== 'waits') hasDone = true
    }
    return hasDone
  }

  async #one(order: Order): Promise<string> {
    const result = await this.#ledger.counter.carryOut(order)
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

const ORDERS_AT_ONCE = 1_000
const TRIES_MAX = 3
const NAMED_MAX = 3
