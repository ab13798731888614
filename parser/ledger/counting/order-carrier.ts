/**
 * Carries out what people have asked for. Each kind of order is a step like any other that is counted: one
 * transaction, or a batch of its own, or (closing the books) parts of which each may be the last. What stands
 * in the way is looked for before a batch begins; a crash leaves the order waiting, or a batch to go on with.
 */

import { filesOfBatch } from '../asking/rows.ts'
import { newBatchId } from '../batch.ts'
import { type PruneResult, prune } from '../closing/prune.ts'
import type { Session } from '../connection.ts'
import {
  type FileOrder,
  isFileOrder,
  planOrder,
  type SettledPlan,
  settleOrder,
} from './carry-out.ts'
import { type BeginResult, beginStaged } from './count-staged.ts'
import type { LongCountOptions } from './count-whole.ts'
import type { StagedResult } from './course.ts'
import type { Lease } from './lease.ts'
import { objectionToOrder } from './order-objection.ts'
import { noteOrder, type Order } from './order-row.ts'
import { beginReset, whyResetWaits } from './reset.ts'
import { takeOffTheList } from './retreat.ts'
import { membersOf, type StagedBatch } from './signed-chunks.ts'

export type CarriedOut =
  | Exclude<StagedResult, { readonly kind: 'changed' }>
  /** Carried out without a batch, or needless. */
  | { readonly kind: 'done' }
  | { readonly kind: 'declined' | 'waits'; readonly why: string }
  /** A part of it was done: what else waits goes first. */
  | { readonly kind: 'goes on' }

/** How whoever holds the lease counts. */
export interface Counting {
  readonly optionsOn: (session: Session) => LongCountOptions
  readonly bringToEnd: (
    session: Session,
    batch: StagedBatch,
    begin: (checked: boolean) => Promise<BeginResult>,
  ) => Promise<StagedResult>
}

export class OrderCarrier {
  readonly #lease: Lease
  readonly #counting: Counting
  /** What closes the books, between two of its parts. */
  #pruning:
    | {
        readonly session: Session
        readonly epoch: bigint | undefined
        readonly id: Buffer
        readonly parts: AsyncGenerator<void, PruneResult>
      }
    | undefined

  constructor(lease: Lease, counting: Counting) {
    this.#lease = lease
    this.#counting = counting
  }

  /** @throws CountersinkError LEASE_LOST, and as `bringToEnd` */
  async carryOut(session: Session, order: Order): Promise<CarriedOut> {
    if (isFileOrder(order)) return this.#correct(session, order)
    return order.kind === 'reset' ? this.#reset(session, order) : this.#prune(session, order)
  }

  decline(session: Session, order: FileOrder, why: string): Promise<CarriedOut> {
    return this.#settle(session, order, { kind: 'declined', why })
  }

  async #correct(session: Session, order: FileOrder): Promise<CarriedOut> {
    const options = this.#counting.optionsOn(session)
    const { names } = options
    const plan = await planOrder(session, options, order)
    if (plan.kind === 'waits') {
      if (order.answer !== plan.why) await noteOrder(session, names, order.id, plan.why)
      return { kind: 'waits', why: plan.why }
    }
    if (plan.kind !== 'move') return this.#settle(session, order, plan)
    const objection = await objectionToOrder(session, plan.files, options)
    if (objection?.kind === 'declined') return this.#settle(session, order, objection)
    if (objection?.kind === 'recorded anew') {
      for (const one of objection.files) await takeOffTheList(session, one, options)
      return { kind: 'waits', why: 'its sums are recorded anew' }
    }
    const batch: StagedBatch = { id: newBatchId(), kind: 'correct', files: plan.files }
    return this.#bringToEnd(session, batch, () =>
      beginStaged(session, batch, true, options, order.id),
    )
  }

  async #reset(session: Session, order: Order): Promise<CarriedOut> {
    const options = this.#counting.optionsOn(session)
    const { names } = options
    const why = await whyResetWaits(session, names)
    if (why !== undefined) {
      if (order.answer !== why) await noteOrder(session, names, order.id, why)
      return { kind: 'waits', why }
    }
    const id = newBatchId()
    if (!(await beginReset(session, id, order, options))) return CHANGED
    const files = membersOf(await filesOfBatch(session, names, id))
    return this.#bringToEnd(session, { id, kind: 'reset', files }, async () => 'changed')
  }

  async #bringToEnd(
    session: Session,
    batch: StagedBatch,
    begin: () => Promise<BeginResult>,
  ): Promise<CarriedOut> {
    const result = await this.#counting.bringToEnd(session, batch, begin)
    if (result.kind === 'changed') return CHANGED
    if (result.kind !== 'given back' || result.refusedBecause === undefined) return result
    return { kind: 'declined', why: result.refusedBecause }
  }

  /** For a while, from where it was left. */
  async #prune(session: Session, order: Order): Promise<CarriedOut> {
    const { epoch } = this.#lease
    // Somebody else may have been at it, or removed what it had packed.
    if (this.#pruning?.session !== session || this.#pruning.epoch !== epoch) {
      this.#pruning = undefined
    }
    this.#pruning ??= {
      ...{ session, epoch, id: order.id },
      parts: prune(session, order, this.#counting.optionsOn(session)),
    }
    const { id, parts } = this.#pruning
    if (!id.equals(order.id)) return { kind: 'waits', why: 'the books are being closed' }
    const untilMs = performance.now() + PRUNING_AT_ONCE_MS
    let result: CarriedOut | undefined
    try {
      while (result === undefined && performance.now() < untilMs) {
        const { done, value } = await parts.next()
        if (done === true) result = value
      }
    } catch (error) {
      this.#pruning = undefined
      throw error
    }
    if (result === undefined) return { kind: 'goes on' }
    this.#pruning = undefined
    return result
  }

  async #settle(session: Session, order: FileOrder, plan: SettledPlan): Promise<CarriedOut> {
    const isSettled = await settleOrder(session, order, plan, this.#counting.optionsOn(session))
    if (!isSettled) return CHANGED
    return plan.kind === 'declined' ? { kind: 'declined', why: plan.why } : { kind: 'done' }
  }
}

/** Then what waits to be counted goes first. */
const PRUNING_AT_ONCE_MS = 250

const CHANGED = { kind: 'waits', why: 'something has changed meanwhile' } as const
