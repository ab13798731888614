/**
 * P4 to P8, where this parser counts: adds what was read here and fits one transaction, merged into
 * one batch, and what waits in the ledger, by whomever it was recorded. The deeper the queue, the larger
 * the batch, and the fewer rows are touched per file.
 *
 * While another parser counts, nothing is counted here: what was read is recorded instead. A stop ends
 * the batch in hand after the chunk in hand; whoever counts next goes on from there.
 */

import type { Handoff } from '../../shared/handoff.ts'
import { hexOf, type Reason } from '../facts.ts'
import type { Ledger } from '../ledger/index.ts'
import { closeAll } from '../reading/index.ts'
import type { Decider, ReadFile, Refuser } from '../recording/index.ts'
import type { Orders } from './orders.ts'
import type { StagedBatches } from './staged-batches.ts'
import { attemptWhole } from './whole-batch.ts'

export class CountingStage {
  readonly #input: Handoff<ReadFile>
  readonly #ledger: Ledger
  readonly #decider: Decider
  readonly #refuser: Refuser
  readonly #staged: StagedBatches
  readonly #orders: Orders
  readonly #record: (files: readonly ReadFile[]) => Promise<void>
  readonly #filesMax: number
  readonly #chunkPairsMax: number
  readonly #onCounted: () => void
  #isWaiting = false

  constructor(options: {
    input: Handoff<ReadFile>
    ledger: Ledger
    decider: Decider
    refuser: Refuser
    staged: StagedBatches
    orders: Orders
    /** For files that cannot be counted here now. */
    record: (files: readonly ReadFile[]) => Promise<void>
    filesMax: number
    chunkPairsMax: number
    /** Something that was recorded has come to its end. */
    onCounted: () => void
  }) {
    this.#input = options.input
    this.#ledger = options.ledger
    this.#decider = options.decider
    this.#refuser = options.refuser
    this.#staged = options.staged
    this.#orders = options.orders
    this.#record = options.record
    this.#filesMax = options.filesMax
    this.#chunkPairsMax = options.chunkPairsMax
    this.#onCounted = options.onCounted
  }

  /** Nothing waits to be counted, as far as was looked. */
  get isIdle(): boolean {
    return this.#isWaiting && this.#input.isEmpty
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    let hasMore = true
    let lookAgainMs = 0
    try {
      while (!signal.aborted) {
        this.#isWaiting = !hasMore
        const waitMs = hasMore ? 0 : LOOK_INTERVAL_MS
        const files = await this.#input.takeAll(this.#filesMax, signal, waitMs)
        this.#isWaiting = false
        if (signal.aborted) {
          await closeAll(files)
          break
        }
        await this.#countAll([...files], signal)
        const isWoken = files.length === 0
        if (!hasMore && !isWoken && performance.now() < lookAgainMs) continue
        lookAgainMs = performance.now() + LOOK_INTERVAL_MS
        hasMore = await this.#countRecorded()
        if (hasMore) this.#onCounted()
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
    await closeAll(this.#input.drain())
  }

  /** @returns whether there may be more. */
  async #countRecorded(): Promise<boolean> {
    const { counter } = this.#ledger
    if (!counter.isCounter) {
      const hasSome =
        (await this.#staged.hasOpen()) ||
        (await counter.waiting(1)).length > 0 ||
        (await this.#orders.hasSome())
      if (!hasSome || !(await counter.takeLease())) return false
    }
    if (!(await this.#staged.finishOpen())) return false
    const hasOrders = await this.#orders.carryOut()
    if (hasOrders === 'recorder') return false
    return (await this.#staged.countNext()) || hasOrders
  }

  async #countAll(files: ReadFile[], signal: AbortSignal): Promise<void> {
    try {
      while (files.length > 0) await this.#countSome(files, signal)
    } catch (error) {
      await closeAll(files)
      throw error
    }
  }

  /** Brings at least one of the files to an end, or on, and takes it off the list. */
  async #countSome(files: ReadFile[], signal: AbortSignal): Promise<void> {
    const unchanged = await this.#decider.endChanged(files)
    files.splice(0, files.length, ...unchanged)
    if (files.length === 0) return
    const startedAtMs = Date.now()
    const { taken, result } = await attemptWhole(files, {
      ...{ ledger: this.#ledger, chunkPairsMax: this.#chunkPairsMax, signal },
    })
    switch (result.kind) {
      case 'applied': {
        const counting = { startedAtMs, endedAtMs: Date.now() }
        remove(files, taken)
        await this.#decider.end(
          taken.map(file => ({
            verdict: file,
            ending: {
              ...file,
              ...{ outcome: 'applied' as const, counting },
              ledgerSequence: result.sequences.get(hexOf(file.digest.sha256)),
            },
          })),
        )
        return
      }
      case 'overflow':
        return await this.#quarantine(files, taken[result.fileIndex]!, result.reason)
      case 'refused':
        return await this.#quarantine(files, taken[0]!, result.reason)
      case 'claimed': {
        remove(files, taken)
        const { unclaimed, begun } = await this.#decider.decide(taken)
        files.push(...unclaimed)
        return await this.#record(begun)
      }
      case 'too large':
      case 'recorder':
        remove(files, taken)
        return await this.#record(taken)
    }
  }

  async #quarantine(files: ReadFile[], guilty: ReadFile, reason: Reason): Promise<void> {
    remove(files, [guilty])
    const ending = await this.#refuser.quarantine({
      ...guilty,
      ...{ kind: 'quarantine', reason, evidence: {} },
    })
    await this.#decider.end([{ verdict: guilty, ending }])
  }
}

/** How often it is asked whether something recorded waits. */
const LOOK_INTERVAL_MS = 500

function remove(list: ReadFile[], some: readonly ReadFile[]): void {
  const gone = new Set(some)
  list.splice(0, list.length, ...list.filter(one => !gone.has(one)))
}
