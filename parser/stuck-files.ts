import { Bell } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import { boundedReason, type LeftFiles } from '../shared/protocol.ts'
import type { QueueEntry } from './journal/records.ts'

/**
 * Settled files that cannot leave work/: an immutable one, a directory of ours in whose place
 * something else stands. What became of them is in the journal and in the ledger, so nothing waits for
 * them; they are told of once, stand in `status`, and are tried again every few seconds, some at a
 * time. After a crash the start finds them `settling` and comes to the same.
 *
 * They are as many as the queue holds at the most: each has its entry there until it has moved.
 */
export class StuckFiles {
  readonly #log: Log
  readonly #stuck = new Map<number, { readonly entry: QueueEntry; readonly why: string }>()

  constructor(log: Log) {
    this.#log = log
  }

  /** For `status`; undefined: there is none. */
  get report(): LeftFiles | undefined {
    if (this.#stuck.size === 0) return undefined
    const reasons = new Map<string, { why: string; files: number; names: string[] }>()
    for (const { entry, why } of this.#stuck.values()) {
      const reason = reasons.get(why) ?? { why, files: 0, names: [] }
      if (!reasons.has(why) && reasons.size === REASONS_SHOWN_MAX) continue
      reasons.set(why, reason)
      reason.files += 1
      if (reason.names.length < NAMES_SHOWN_MAX) reason.names.push(entry.name)
    }
    return { files: this.#stuck.size, reasons: [...reasons.values()] }
  }

  stuck(entry: QueueEntry, why: string): void {
    const reason = boundedReason(why)
    const before = this.#stuck.get(entry.sequence)?.why
    // Behind the others, whose turn it is next.
    this.#stuck.delete(entry.sequence)
    this.#stuck.set(entry.sequence, { entry, why: reason })
    if (before === reason) return
    this.#log.warn('left in work/: it is settled and cannot leave', {
      ...{ name: entry.name, outcome: entry.outcome, because: reason },
    })
  }

  moved({ sequence, name }: QueueEntry): void {
    if (this.#stuck.delete(sequence)) this.#log.info('has left work/ after all', { name })
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal, move: (entries: QueueEntry[]) => Promise<void>): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await untilStopped.wait(signal, RETRY_INTERVAL_MS)
      const next: QueueEntry[] = []
      for (const { entry } of this.#stuck.values()) {
        if (signal.aborted || next.length === RETRIED_AT_ONCE_MAX) break
        next.push(entry)
      }
      if (next.length > 0) await move(next)
    }
  }
}

const RETRY_INTERVAL_MS = 2_000
const RETRIED_AT_ONCE_MAX = 64
const REASONS_SHOWN_MAX = 5
const NAMES_SHOWN_MAX = 3
