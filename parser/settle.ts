import { renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crashPoint } from '../shared/crash-points.ts'
import { replaceFile, syncDirectories, syncDirectoryIfItOpens } from '../shared/durable.ts'
import { CountersinkError, hasCode } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { MANIFEST_SUFFIX, type StatePaths, settledName, workName } from '../shared/paths.ts'
import { boundedReason, type Outcome, type ProcessedFile } from '../shared/protocol.ts'
import type { ArchiveLimit } from './archive-limit.ts'
import type { Backlog } from './backlog.ts'
import { changeSinceRead } from './changes.ts'
import type { GrowthWatch } from './growth-watch.ts'
import type { Journal, Settlement } from './journal/journal.ts'
import type { DigestFacts, QueueEntry } from './journal/records.ts'
import { exactStatsOf, moveWithoutReplacing } from './moves.ts'

/** Why a file is where it is, for the person who looks into quarantine/. */
export type Evidence = Readonly<Record<string, unknown>>

/** The end of one file's way, as the ledger stage knows it. */
export interface Ending {
  readonly entry: QueueEntry
  readonly outcome: Outcome
  readonly digest: DigestFacts
  readonly reason?: string
  readonly evidence?: Evidence
  /** What the sidecar advises, if not what it advises for a file of which nothing was counted. */
  readonly whatNow?: string
  readonly ledgerSequence?: bigint | undefined
}

/**
 * P7 and P8: the last steps of files, whatever became of them, several in one go.
 *
 * The sidecars of quarantined files come first (a crash after them makes them again), then the
 * journal says `settling` with the outcomes (P7), then the files leave work/ for archive/,
 * duplicate/ or quarantine/ under names that carry their hash (P8), then whoever asked is told. A
 * crash between P7 and P8 leaves settled files in work/: the start moves them. A file that is
 * missing then was moved before the crash.
 *
 * A counted file that is not any more what was read is told of (`GrowthWatch`); it stays counted.
 * What came as the manifest of a quarantined file, and is none of ours, follows it there: it may be
 * a file of somebody's.
 */
export class Settler {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #backlog: Backlog
  readonly #archiveLimit: ArchiveLimit
  readonly #growth: GrowthWatch
  readonly #onSettled: (file: ProcessedFile, sequence: number) => void
  readonly #log: Log

  constructor(options: {
    paths: StatePaths
    journal: Journal
    backlog: Backlog
    archiveLimit: ArchiveLimit
    growth: GrowthWatch
    onSettled: (file: ProcessedFile, sequence: number) => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#backlog = options.backlog
    this.#archiveLimit = options.archiveLimit
    this.#growth = options.growth
    this.#onSettled = options.onSettled
    this.#log = options.log
  }

  /** How a file that is still in work/ differs from what was read. */
  changeSinceRead({ entry, digest }: Pick<Ending, 'entry' | 'digest'>): string | undefined {
    const stats = exactStatsOf(this.#workPath(entry))
    return stats && changeSinceRead(entry, digest, stats)
  }

  async settle(endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return
    for (const ending of endings) {
      if (ending.outcome === 'quarantined') await this.#writeSidecar(ending)
    }
    crashPoint('P7-before-journalled')
    const files = this.#journal.settle(endings.map(settlementOf))
    crashPoint('P7-done-journalled')
    await this.move(endings.map(({ entry, outcome, digest }) => ({ ...entry, outcome, digest })))
    for (const [i, file] of files.entries()) {
      this.#log[file.outcome === 'quarantined' ? 'warn' : 'info'](file.outcome, {
        name: file.name,
        sha256: file.sha256.slice(0, 16),
        size: file.sizeBytes,
        lines: file.lines,
        amount: file.amount,
        ms: file.settledAtMs - file.claimedAtMs,
        reason: file.reason,
      })
      this.#onSettled(file, endings[i]!.entry.sequence)
    }
  }

  /** P8 alone: also for entries found `settling` at the start. */
  async move(entries: readonly QueueEntry[]): Promise<void> {
    const directories = new Set<string>()
    const movedNow = new Set<QueueEntry>()
    for (const [i, entry] of entries.entries()) {
      if (i > 0 && i % MOVED_AT_ONCE_MAX === 0) await setImmediate()
      const to = this.#destination(entry)
      const from = this.#workPath(entry)
      const stats = entry.outcome === 'quarantined' ? undefined : exactStatsOf(from)
      if (!moveIfThere(from, to)) continue
      if (stats && entry.digest) this.#growth.settled(entry, entry.digest, to, stats)
      movedNow.add(entry)
      directories.add(dirname(to))
    }
    crashPoint('P8-moved')
    // The inbox too: that the files left it was not synced when they were claimed.
    const { inbox, work } = this.#paths
    if (directories.size > 0) {
      await syncDirectoryIfItOpens(inbox)
      await syncDirectories(work, ...directories)
    }
    crashPoint('P8-move-synced')
    for (const [i, entry] of entries.entries()) {
      if (i > 0 && i % MOVED_AT_ONCE_MAX === 0) await setImmediate()
      this.#putManifestAway(entry)
      crashPoint('P8-manifest-removed')
      this.#journal.moved(entry.sequence)
      this.#backlog.remove(entry.sequence)
      // One that was moved before a crash is counted by the limit already.
      if (!movedNow.has(entry) || entry.outcome !== 'applied' || !entry.disposable) continue
      if (entry.digest !== undefined) {
        const name = settledName(entry.name, entry.digest.sha256)
        await this.#archiveLimit.added(name, entry.digest.sizeBytes)
      }
    }
  }

  /** One of ours has been read, and its numbers are in the journal. */
  #putManifestAway(entry: QueueEntry): void {
    const manifest = `${this.#workPath(entry)}${MANIFEST_SUFFIX}`
    if (entry.manifestProblem === undefined) {
      rmSync(manifest, { force: true })
      return
    }
    const to = this.#destination(entry)
    if (moveWithoutReplacing(manifest, `${to}${MANIFEST_SUFFIX}`)) return
    // Unless it was moved before a crash, another one stands there.
    moveWithoutReplacing(manifest, `${to}.${entry.sequence}${MANIFEST_SUFFIX}`)
  }

  #workPath(entry: QueueEntry): string {
    return join(this.#paths.work, workName(entry.sequence, entry.name))
  }

  #destination({ name, digest, outcome, disposable }: QueueEntry): string {
    if (digest === undefined || outcome === undefined) {
      throw new CountersinkError(
        'JOURNAL_UNREADABLE',
        `the entry of ${name} is settling without an outcome`,
      )
    }
    const { archive, archiveDisposable, duplicate, quarantine } = this.#paths
    const applied = disposable ? archiveDisposable : archive
    const directory = { applied, duplicate, quarantined: quarantine }[outcome]
    return join(directory, settledName(name, digest.sha256))
  }

  async #writeSidecar({ entry, digest, reason, evidence, whatNow }: Ending): Promise<void> {
    const name = `${settledName(entry.name, digest.sha256)}.reason.json`
    const sidecar = {
      name: entry.name,
      sha256: Buffer.from(digest.sha256).toString('hex'),
      size: digest.sizeBytes,
      reason,
      ...evidence,
      ...(entry.expected === undefined
        ? {}
        : { manifest: { ...entry.expected, amount: entry.expected.amount?.toString() } }),
      claimedAt: new Date(entry.claimedAtMs).toISOString(),
      quarantinedAt: new Date().toISOString(),
      whatNow:
        whatNow ??
        'Nothing of this file was counted. Mend it and put it into the inbox again under any name.',
    }
    await replaceFile(join(this.#paths.quarantine, name), `${JSON.stringify(sidecar, null, 2)}\n`)
    crashPoint('P7-sidecar-written')
  }
}

function settlementOf({ entry, outcome, digest, reason, ledgerSequence }: Ending): Settlement {
  return {
    entry: { ...entry, digest },
    outcome,
    facts: {
      sha256: Buffer.from(digest.sha256).toString('hex'),
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      amount: digest.amount.toString(),
      ...(reason === undefined ? {} : { reason: boundedReason(reason) }),
      ...(ledgerSequence === undefined ? {} : { ledgerSequence: ledgerSequence.toString() }),
      digestStartedAtMs: digest.startedAtMs,
      digestedAtMs: digest.endedAtMs,
      settledAtMs: Date.now(),
    },
  }
}

/** Files moved, each in microseconds, before others on the event loop get a turn. */
const MOVED_AT_ONCE_MAX = 16

/** false: there is nothing to move. */
function moveIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw new CountersinkError('IO_FAILED', `rename of ${from} to ${to} failed`, { cause: error })
  }
}
