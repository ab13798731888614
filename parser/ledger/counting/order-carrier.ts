/**
 * Carries out what people have asked for. Each kind of order is a step like any other that is counted: one
 * transaction, or a batch of its own, or (closing the books) parts of which each may be the last. What stands
 * in the way is looked for before a batch begins; a crash leaves the order waiting, or a batch to go on with.
 */

import { describeError, hasCode } from '../../../shared/errors.ts'
import { filesOfBatch } from '../asking/rows.ts'
import { newBatchId } from '../batch.ts'
import { type PruneResult, prune } from '../closing/prune.ts'
import type { Session } from '../connection.ts'
import { unreadableOf } from './blame.ts'
import {
  type FileOrder,
  isFileOrder,
  planOrder,
  type SettledPlan,
  settleOrder,
} from './carry-out.ts'
import { type BeginResult, beginStaged } from './count-staged.ts'
import type { LongCountOptions } from './count-whole.ts'
import { RESET_REFUSED, type StagedResult, unreadableText } from './course.ts'
import type { Lease } from './lease.ts'
import { objectionTo } from './objection.ts'
import { noteOrder, type Order } from './order-row.ts'
import { beginReset, whyResetWaits } from './reset.ts'
import { takeOffTheList } from './retreat.ts'
import { isReverting, type Member, membersOf, type StagedBatch } from './signed-chunks.ts'

export type CarriedOut =
  | StagedResult
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
    const objection = await this.#objectionTo(session, plan.files)
    if (objection === 'recorded anew') return { kind: 'waits', why: 'its sums are recorded anew' }
    if (objection !== undefined) {
      return this.#settle(session, order, { kind: 'declined', why: objection })
    }
    const batch: StagedBatch = { id: newBatchId(), kind: 'correct', files: plan.files }
    return this.#counting.bringToEnd(session, batch, () =>
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
    const begun = async (): Promise<BeginResult> => 'changed'
    const result = await this.#counting.bringToEnd(session, { id, kind: 'reset', files }, begun)
    return result.kind === 'given back' ? { kind: 'declined', why: RESET_REFUSED } : result
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

  /** `recorded anew`: blocks of what is to be counted cannot be read. */
  async #objectionTo(
    session: Session,
    files: readonly Member[],
  ): Promise<string | 'recorded anew' | undefined> {
    const options = this.#counting.optionsOn(session)
    try {
      return await objectionTo(session, files, options)
    } catch (error) {
      if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
      const unread = await unreadableOf(session, files, options)
      const taken = files.find(
        file => isReverting(file) && unread.some(({ sequence }) => sequence === file.sequence),
      )
      if (taken !== undefined || unread.length === 0) {
        return taken === undefined ? describeError(error) : unreadableText(taken)
      }
      for (const one of unread) await takeOffTheList(session, one, options)
      return 'recorded anew'
    }
  }
}

/** Then what waits to be counted goes first. */
const PRUNING_AT_ONCE_MS = 250

const CHANGED = { kind: 'waits', why: 'something has changed meanwhile' } as const
