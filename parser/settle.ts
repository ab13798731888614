import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crashPoint } from '../shared/crash-points.ts'
import { renameDurably, replaceFile } from '../shared/durable.ts'
import { CountersinkError, hasCode } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { MANIFEST_SUFFIX, type StatePaths, settledName, workName } from '../shared/paths.ts'
import { boundedReason, type Outcome, type ProcessedFile } from '../shared/protocol.ts'
import type { ArchiveLimit } from './archive-limit.ts'
import type { Backlog } from './backlog.ts'
import type { Journal } from './journal/journal.ts'
import type { DigestFacts, QueueEntry } from './journal/records.ts'

/** Why a file is where it is, for the person who looks into quarantine/. */
export type Evidence = Readonly<Record<string, unknown>>

/**
 * P7 and P8: the last steps of a file, whatever became of it.
 *
 * The sidecar of a quarantined file comes first (a crash after it makes it again), then the journal
 * says `settling` with the outcome (P7), then the file leaves work/ for archive/, duplicate/ or
 * quarantine/ under a name that carries its hash (P8), then whoever asked is told. A crash between
 * P7 and P8 leaves a settled file in work/: the start moves it. A file that is missing then was
 * moved before the crash.
 */
export class Settler {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #backlog: Backlog
  readonly #archiveLimit: ArchiveLimit
  readonly #onSettled: (file: ProcessedFile, sequence: number) => void
  readonly #log: Log

  constructor(options: {
    paths: StatePaths
    journal: Journal
    backlog: Backlog
    archiveLimit: ArchiveLimit
    onSettled: (file: ProcessedFile, sequence: number) => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#backlog = options.backlog
    this.#archiveLimit = options.archiveLimit
    this.#onSettled = options.onSettled
    this.#log = options.log
  }

  async settle(
    entry: QueueEntry,
    outcome: Outcome,
    details: {
      digest: DigestFacts
      reason?: string
      evidence?: Evidence
      ledgerSequence?: bigint
    },
  ): Promise<void> {
    const { digest, ledgerSequence } = details
    const reason = details.reason === undefined ? undefined : boundedReason(details.reason)
    const settled: QueueEntry = { ...entry, digest, outcome }
    if (outcome === 'quarantined') await this.#writeSidecar(settled, digest, details)
    const file = this.#journal.settle(
      settled,
      outcome,
      {
        sha256: Buffer.from(digest.sha256).toString('hex'),
        sizeBytes: digest.sizeBytes,
        lines: digest.lines,
        amount: digest.amount.toString(),
        ...(reason === undefined ? {} : { reason }),
        digestStartedAtMs: digest.startedAtMs,
        digestedAtMs: digest.endedAtMs,
        settledAtMs: Date.now(),
      },
      ledgerSequence,
    )
    crashPoint('P7-done-journalled')
    await this.move(settled)
    this.#log[outcome === 'quarantined' ? 'warn' : 'info'](outcome, {
      name: file.name,
      sha256: file.sha256.slice(0, 16),
      size: file.sizeBytes,
      lines: file.lines,
      amount: file.amount,
      ms: file.settledAtMs - file.claimedAtMs,
      reason,
    })
    this.#onSettled(file, entry.sequence)
  }

  /** P8 alone: also for entries found `settling` at the start. */
  async move(entry: QueueEntry): Promise<void> {
    const { digest, outcome } = entry
    if (digest === undefined || outcome === undefined) {
      throw new CountersinkError(
        'JOURNAL_UNREADABLE',
        `the entry of ${entry.name} is settling without an outcome`,
      )
    }
    const from = join(this.#paths.work, workName(entry.sequence, entry.name))
    const name = settledName(entry.name, digest.sha256)
    const moved = await moveIfThere(from, join(this.#directory(outcome, entry.disposable), name))
    crashPoint('P8-moved')
    await rm(`${from}${MANIFEST_SUFFIX}`, { force: true })
    crashPoint('P8-move-synced')
    this.#journal.moved(entry.sequence)
    this.#backlog.remove(entry.sequence)
    if (moved && outcome === 'applied' && entry.disposable) {
      await this.#archiveLimit.added(name, digest.sizeBytes)
    }
  }

  #directory(outcome: Outcome, disposable: boolean): string {
    switch (outcome) {
      case 'applied':
        return disposable ? this.#paths.archiveDisposable : this.#paths.archive
      case 'duplicate':
        return this.#paths.duplicate
      case 'quarantined':
        return this.#paths.quarantine
    }
  }

  async #writeSidecar(
    entry: QueueEntry,
    digest: DigestFacts,
    details: { reason?: string; evidence?: Evidence },
  ): Promise<void> {
    const name = `${settledName(entry.name, digest.sha256)}.reason.json`
    const sidecar = {
      name: entry.name,
      sha256: Buffer.from(digest.sha256).toString('hex'),
      size: digest.sizeBytes,
      reason: details.reason,
      ...details.evidence,
      ...(entry.expected === undefined
        ? {}
        : { manifest: { ...entry.expected, amount: entry.expected.amount?.toString() } }),
      claimedAt: new Date(entry.claimedAtMs).toISOString(),
      quarantinedAt: new Date().toISOString(),
      whatNow:
        'Nothing of this file was counted. Mend it and put it into the inbox again under any name.',
    }
    await replaceFile(join(this.#paths.quarantine, name), `${JSON.stringify(sidecar, null, 2)}\n`)
  }
}

async function moveIfThere(from: string, to: string): Promise<boolean> {
  try {
    await stat(from)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw new CountersinkError('IO_FAILED', `reading ${from} failed`, { cause: error })
  }
  await renameDurably(from, to)
  return true
}
