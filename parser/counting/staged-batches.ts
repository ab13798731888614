/**
 * What is recorded in the ledger and waits to be counted, by whichever parser: put into batches, as
 * many files as one merge takes, and brought to their end. Batches that somebody has begun and not
 * ended are taken up first, from where they stand.
 *
 * Where several parsers record, each batch is followed by a rest of a few times its length, unless a
 * full one waits: consumers that are in many files are then changed once for all of them. A parser that
 * records alone is not made to wait.
 *
 * Files whose batch was taken back although none of them was to blame are tried one by one: together
 * they make a row that is refused. A batch that can be neither finished nor taken back is **blocked**:
 * said loudly and in `status`, and tried again after growing pauses.
 */

import { describeError, hasCode } from '../../shared/errors.ts'
import { U64_MAX } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import {
  asStaged,
  type Ledger,
  type LedgerFile,
  membersOf,
  newBatchId,
  type OpenBatch,
  type StagedBatch,
  type StagedResult,
} from '../ledger/index.ts'
import type { EarlierBatches } from './earlier-batches.ts'

export class StagedBatches {
  readonly #ledger: Ledger
  readonly #earlier: EarlierBatches
  readonly #pauseMs: () => number
  readonly #rest: Rest
  readonly #log: Log
  readonly #blocked = new Map<string, Blocked>()
  /** Sequences that go alone. */
  readonly #alone = new Set<bigint>()
  /** By the clock of `performance.now`. */
  #restsUntilMs = 0

  constructor(options: {
    ledger: Ledger
    earlier: EarlierBatches
    /** Before a blocked batch is tried again for the first time. */
    pauseMs: () => number
    rest?: Rest
    log: Log
  }) {
    this.#ledger = options.ledger
    this.#earlier = options.earlier
    this.#pauseMs = options.pauseMs
    this.#rest = options.rest ?? REST
    this.#log = options.log
  }

  /** Why batches stand still that only a person can help, for `status`. */
  get reason(): string | undefined {
    const [first] = this.#blocked
    if (first === undefined) return undefined
    const [id, { reason: why }] = first
    const others = this.#blocked.size > 1 ? ` (and ${this.#blocked.size - 1} more)` : ''
    return `batch ${id} is blocked: ${why}${others}`
  }

  /**
   * Whether a batch has begun and not ended, and its time has come. What an earlier version has begun is prepared for whoever
   * counts.
   */
  async hasOpen(): Promise<boolean> {
    return (await this.#open()).length > 0
  }

  /** Those that are to be gone on with now. */
  async #open(): Promise<OpenBatch[]> {
    const open = await this.#ledger.openBatches()
    await this.#earlier.record(open)
    const ids = new Set(open.map(({ id }) => id.toString('hex')))
    // Somebody else may have ended them.
    for (const id of this.#blocked.keys()) if (!ids.has(id)) this.#blocked.delete(id)
    return open.filter(({ id }) => {
      const seen = this.#blocked.get(id.toString('hex'))
      return seen === undefined || performance.now() >= seen.retryAtMs
    })
  }

  /**
   * Batches that have begun and not ended; those that are blocked only when their time has come.
   *
   * @returns false: somebody else counts now.
   * @throws the signal's reason between two chunks
   */
  async finishOpen(): Promise<boolean> {
    for (const { id, kind } of await this.#open()) {
      const files = await this.#ledger.filesOf(id)
      const lacking = files.filter(({ pairs }) => pairs === null)
      if (lacking.length > 0) {
        this.#noteBlocked(id, lacks(lacking))
        continue
      }
      const result = await this.#goOn({ id, kind, files: membersOf(files) })
      if (result === 'recorder') return false
      if (result === 'applied') {
        this.#log.info('finished a batch that was begun before', {
          ...{ batch: id.toString('hex'), files: files.length },
        })
      }
    }
    return true
  }

  /**
   * The next batch of what waits.
   *
   * @returns whether there was one.
   */
  async countNext(): Promise<boolean> {
    const waiting = await this.#ledger.counter.waiting(FILES_MAX)
    if (this.#shouldRest(waiting)) return false
    const files = this.#together(waiting)
    if (files.length === 0) return false
    const startedAtMs = performance.now()
    const result = await this.#goOn(asStaged({ id: newBatchId(), files }))
    if ((result === 'given back' || result === 'changed') && files.length > 1) {
      const still = new Set(
        (await this.#ledger.counter.waiting(FILES_MAX)).map(row => row.sequence),
      )
      const given = files.filter(({ sequence }) => still.has(sequence))
      // None was to blame alone.
      if (given.length === files.length) for (const { sequence } of given) this.#alone.add(sequence)
    } else for (const { sequence } of files) this.#alone.delete(sequence)
    const endedAtMs = performance.now()
    const { lengths, msMax } = this.#rest
    this.#restsUntilMs = endedAtMs + Math.min(msMax, lengths * (endedAtMs - startedAtMs))
    return result !== 'recorder'
  }

  /** Whether more is worth waiting for. */
  #shouldRest(waiting: readonly LedgerFile[]): boolean {
    if (waiting.length === FILES_MAX || performance.now() >= this.#restsUntilMs) return false
    return waiting.some(row => !this.#ledger.isFromThisParser(row))
  }

  /** As many as can be merged without a sum that passes 2^64. */
  #together(waiting: readonly LedgerFile[]): LedgerFile[] {
    const [first] = waiting
    if (first === undefined) return []
    if (this.#alone.has(first.sequence)) return [first]
    const files: LedgerFile[] = []
    let largest = 0n
    for (const file of waiting) {
      largest += file.largestSum
      if (largest > U64_MAX && files.length > 0) break
      if (!this.#alone.has(file.sequence)) files.push(file)
    }
    return files
  }

  async #goOn(batch: StagedBatch): Promise<StagedResult['kind']> {
    const { id } = batch
    let result: StagedResult
    try {
      result = await this.#ledger.counter.goOn(batch)
    } catch (error) {
      if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
      result = { kind: 'blocked', reason: describeError(error) }
    }
    if (result.kind === 'blocked') this.#noteBlocked(id, result.reason)
    else this.#blocked.delete(id.toString('hex'))
    if (result.kind === 'given back') {
      for (const { name, sha256 } of result.unreadable) {
        this.#log.error('recorded sums cannot be read; whoever has the file records them anew', {
          ...{ code: 'BLOCK_UNREADABLE', name, sha256: sha256.toString('hex') },
        })
      }
      const { refusedBecause: reason } = result
      if (reason !== undefined) {
        this.#log.warn('an order cannot be carried out', {
          ...{ code: 'ORDER_DECLINED', batch: id.toString('hex'), reason },
        })
      }
    }
    return result.kind
  }

  #noteBlocked(id: Uint8Array, reason: string): void {
    const hex = Buffer.from(id).toString('hex')
    const before = this.#blocked.get(hex)
    const tries = (before?.tries ?? 0) + 1
    const pauseMs = this.#pauseMs() * 2 ** Math.min(tries - 1, RETRY_DOUBLINGS_MAX)
    this.#blocked.set(hex, { reason, tries, retryAtMs: performance.now() + pauseMs })
    if (before?.reason === reason) return
    this.#log.error('a batch cannot be finished; its totals are incomplete', {
      ...{ code: 'BATCH_BLOCKED', batch: hex },
      reason,
    })
  }
}

function lacks(files: readonly LedgerFile[]): string {
  const names = files.slice(0, NAMES_SHOWN_MAX).map(({ name }) => name)
  const others = files.length > names.length ? ` and ${files.length - names.length} more` : ''
  return `an earlier version has begun it, and not all of its files are here (${names.join(', ')}${others})`
}

const NAMES_SHOWN_MAX = 5

/** A batch that stands still until somebody helps. */
interface Blocked {
  readonly reason: string
  readonly tries: number
  /** By the clock of `performance.now`. */
  readonly retryAtMs: number
}

/** How many files are merged: each needs a place in memory for a block. */
const FILES_MAX = 64

/** What follows a batch where several parsers record. */
export interface Rest {
  /** Of that batch. */
  readonly lengths: number
  readonly msMax: number
}

const REST: Rest = { lengths: 3, msMax: 10_000 }

const RETRY_DOUBLINGS_MAX = 3
