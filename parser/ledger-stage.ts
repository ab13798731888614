import type { Handoff } from '../shared/handoff.ts'
import type { Verdict } from './digest-stage.ts'
import type { Journal } from './journal/journal.ts'
import { batchOf } from './ledger/batch.ts'
import type { Ledger, LedgerFile } from './ledger/ledger.ts'
import type { Evidence, Settler } from './settle.ts'

type Count = Extract<Verdict, { kind: 'count' }>

/**
 * P4 to P8: the only loop that speaks to MariaDB. Takes verdicts in order and brings each to its
 * end: adds the sums to the totals, or writes down why not, then settles the file.
 *
 * A stop lets the file in hand come to its end; verdicts behind it are dropped, their entries are
 * still in the journal and are read again.
 */
export class LedgerStage {
  readonly #input: Handoff<Verdict>
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #settler: Settler

  constructor(options: {
    input: Handoff<Verdict>
    journal: Journal
    ledger: Ledger
    settler: Settler
  }) {
    this.#input = options.input
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#settler = options.settler
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const verdict = await this.#input.take(signal)
      if (verdict === undefined) break
      try {
        await this.#bringToEnd(verdict)
      } catch (error) {
        // The ledger gives up waiting for a database that is away when the signal is raised.
        if (!signal.aborted || error !== signal.reason) throw error
      }
    }
    for (const verdict of this.#input.drain()) {
      if (verdict.kind === 'count') await verdict.sums.close()
    }
  }

  async #bringToEnd(verdict: Verdict): Promise<void> {
    switch (verdict.kind) {
      case 'count':
        try {
          await this.#count(verdict)
        } finally {
          await verdict.sums.close()
        }
        break
      case 'duplicate':
        await this.#duplicate(verdict, this.#journal.content(verdict.digest.sha256)?.applied)
        break
      case 'quarantine':
        await this.#quarantine(verdict, verdict.reason, verdict.evidence)
        break
    }
  }

  async #count(verdict: Count): Promise<void> {
    const { entry, digest, sums, largestSum } = verdict
    // The same content may have been counted between this file's digest and now.
    const applied = this.#journal.content(digest.sha256)?.applied ?? 0
    if (applied > 0) return this.#duplicate(verdict, applied)
    const batch = batchOf(
      [
        {
          sha256: digest.sha256,
          workSequence: entry.sequence,
          name: entry.name,
          sizeBytes: digest.sizeBytes,
          lines: digest.lines,
          amount: digest.amount,
          largestSum,
          claimedAtMs: entry.claimedAtMs,
          digestedAtMs: digest.endedAtMs,
        },
      ],
      sums,
    )
    const result = await this.#ledger.apply(batch)
    switch (result.kind) {
      case 'applied':
        await this.#settler.settle(entry, 'applied', {
          digest,
          ledgerSequence: result.ledgerSequence,
        })
        break
      case 'claimed':
        await this.#claimedBefore(verdict)
        break
      case 'overflow':
        await this.#quarantine(verdict, result.reason, {})
        break
    }
  }

  /** The ledger has the content already: our own work before a crash, or somebody else's. */
  async #claimedBefore(verdict: Count): Promise<void> {
    const { entry, digest } = verdict
    const row = await this.#ledger.find(digest.sha256)
    if (row === undefined || row.state === 'applying') {
      // It was taken back, or is not decided yet: the next try finds out.
      return this.#count(verdict)
    }
    if (this.#ledger.isOwn(row, entry.sequence)) {
      await this.#settler.settle(entry, 'applied', { digest, ledgerSequence: row.sequence })
    } else {
      await this.#duplicate(verdict, row)
    }
  }

  async #duplicate(
    verdict: Exclude<Verdict, { kind: 'quarantine' }>,
    of: number | LedgerFile | undefined,
  ): Promise<void> {
    const first = typeof of === 'number' ? this.#journal.processed(of) : of
    const reason = first === undefined ? 'counted before' : `counted before as ${first.name}`
    await this.#sight(verdict, 'duplicate', reason)
    await this.#settler.settle(verdict.entry, 'duplicate', { digest: verdict.digest, reason })
  }

  async #quarantine(verdict: Verdict, reason: string, evidence: Evidence): Promise<void> {
    await this.#sight(verdict, 'quarantined', reason)
    await this.#settler.settle(verdict.entry, 'quarantined', {
      digest: verdict.digest,
      reason,
      evidence,
    })
  }

  async #sight(
    verdict: Verdict,
    outcome: 'duplicate' | 'quarantined',
    reason: string,
  ): Promise<void> {
    const { entry, digest } = verdict
    await this.#ledger.sight({
      workSequence: entry.sequence,
      sha256: digest.sha256,
      name: entry.name,
      outcome,
      reason,
      seenAtMs: Date.now(),
    })
  }
}
