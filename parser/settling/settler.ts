/**
 * P7 and P8: the last steps of files, whatever became of them, several in one go.
 *
 * The sidecars of quarantined files come first (a crash after them makes them again), then the
 * journal says `settling` with the outcomes and the time (P7), then the files leave work/ for the
 * archive's directory of that day, duplicate/, reverted/ or quarantine/ under names that carry their hash
 * (P8), then whoever asked is told. A crash between P7 and P8 leaves settled files in work/: the start
 * moves them. A file that is missing then was moved before the crash. A sidecar that cannot be written holds
 * its file in work/, where both are tried again; a restart moves the file without (the journal has its reason).
 *
 * Nothing is written over: where a name is taken, the file gets one that is its own (`settledPlace`).
 * One that cannot be moved stays in work/, `settling`, and holds up nobody (`Unmoved`). A directory
 * that is gone is made again, and one that cannot be used is waited for, as a full disk is.
 *
 * A counted file that is not any more what was read is told of (`GrowthWatch`); it stays counted.
 * What came as the manifest of a quarantined file, and is none of ours, follows it there: it may be
 * a file of somebody's.
 */

import { basename, dirname, join, relative } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crashPoint } from '../../shared/crash-points.ts'
import { replaceFile, syncDirectories, syncDirectoryIfItOpens } from '../../shared/durable.ts'
import { describeError, hasCode, systemReason, toError } from '../../shared/errors.ts'
import type { ParserEvents } from '../../shared/events.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { MANIFEST_SUFFIX, type StatePaths, sidecarPath, workName } from '../../shared/paths.ts'
import { printableLines } from '../../shared/printable.ts'
import type { Outcome } from '../../shared/protocol.ts'
import { renameTrouble } from '../../shared/renames-between.ts'
import { changeSinceRead } from '../changes.ts'
import { DayDirectories } from '../day-directories.ts'
import type { DiskWatch } from '../disk-watch.ts'
import { hasHash, loggedFile, type QueueEntry } from '../facts.ts'
import type { QueueTally } from '../intake/index.ts'
import type { Journal } from '../journal/index.ts'
import { type MoveFailure, moveToFree, removeIfThere } from '../moves.ts'
import type { OwnDirectories } from '../own-directories.ts'
import type { ArchiveLimit } from './archive-limit.ts'
import { type Ending, settlementOf, stagesOf } from './ending.ts'
import type { GrowthWatch } from './growth-watch.ts'
import { RejectFiles } from './reject-files.ts'
import { nameBesideSidecar, settledPlace } from './settled-place.ts'
import { Unmoved } from './unmoved.ts'

export class Settler {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #queue: QueueTally
  readonly #archiveLimit: ArchiveLimit
  readonly #growth: GrowthWatch
  readonly #directories: OwnDirectories
  readonly #disk: DiskWatch
  readonly #signal: AbortSignal
  readonly #unmoved: Unmoved
  readonly #days = new DayDirectories()
  readonly #rejects: RejectFiles
  readonly #events: ParserEvents
  /** What is still to be written, by sequence. */
  readonly #sidecars = new Map<number, Sidecar>()
  readonly #log: Log

  constructor(options: {
    paths: StatePaths
    journal: Journal
    queue: QueueTally
    archiveLimit: ArchiveLimit
    growth: GrowthWatch
    directories: OwnDirectories
    disk: DiskWatch
    /** Ends all waiting. */
    signal: AbortSignal
    events: ParserEvents
    log: Log
  }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#queue = options.queue
    this.#archiveLimit = options.archiveLimit
    this.#growth = options.growth
    this.#directories = options.directories
    this.#disk = options.disk
    this.#signal = options.signal
    this.#unmoved = new Unmoved(options.log)
    this.#rejects = new RejectFiles(options.paths.rejects, options.log)
    this.#events = options.events
    this.#log = options.log
  }

  /** How a file that is still in work/ differs from what was read. */
  changeSinceRead({ entry, digest }: Pick<Ending, 'entry' | 'digest'>): string | undefined {
    const stats = statsIfLookedAt(this.#workPath(entry))
    return stats && changeSinceRead(entry, digest, stats)
  }

  /** For `status`; undefined: all that is settled has left work/. */
  get unmoved(): Unmoved['report'] {
    return this.#unmoved.report
  }

  /** At a start: what reading has left of files that are not on their way any more. */
  sweepRejects(onTheirWay: ReadonlySet<number>): void {
    this.#rejects.sweep(onTheirWay)
  }

  /** The loop that tries again what could not be moved; ends when the signal is raised. */
  async run(): Promise<void> {
    try {
      await this.#unmoved.run(
        this.#signal,
        entries => this.move(entries),
        () => this.#journal.queueInSlices(),
      )
    } catch (error) {
      if (!this.#signal.aborted || error !== this.#signal.reason) throw error
    }
  }

  /**
   * P7 and P8 of these files; durable, and told to whoever listens, when it resolves. One that cannot
   * leave work/ is settled nevertheless. Waits for a directory that is away.
   *
   * @throws the signal's reason while it waits; CountersinkError JOURNAL_FAILED, OWNERSHIP_LOST,
   *   IO_FAILED: the process must end
   */
  async settle(endings: readonly Ending[]): Promise<void> {
    if (endings.length === 0) return
    await this.#directories.ready(this.#signal)
    for (const ending of endings) {
      if (!hasSidecar(ending)) continue
      const { sequence } = ending.entry
      this.#sidecars.set(sequence, sidecarOf(ending))
      await this.#writeSidecar(sequence)
    }
    await this.#rejects.publish(endings.filter(hasItsGoodLinesRecorded))
    this.#rejects.drop(endings.filter(ending => !hasItsGoodLinesRecorded(ending)))
    crashPoint('P7-before-journalled')
    const files = this.#journal.settle(
      endings.map(ending => settlementOf(ending, this.#queue.announcedAtMs(ending.entry.sequence))),
    )
    crashPoint('P7-done-journalled')
    await this.move(
      endings.map(({ entry, outcome, digest }, i) => ({
        ...{ ...entry, outcome, digest },
        settledAtMs: files[i]!.settledAtMs,
      })),
    )
    for (const [i, file] of files.entries()) {
      const ending = endings[i]!
      const { sequence } = ending.entry
      this.#events.emit('settled', { file, sequence, stages: stagesOf(ending) })
    }
  }

  /** P8 alone: also for entries found `settling` at the start. */
  async move(entries: readonly QueueEntry[]): Promise<void> {
    if (entries.length === 0) return
    await this.#directories.ready(this.#signal)
    const directories = new Set<string>()
    const places = new Map<QueueEntry, string>()
    const stuck = new Set<QueueEntry>()
    for (const [i, entry] of entries.entries()) {
      if (i > 0 && i % MOVED_AT_ONCE_MAX === 0) await setImmediate()
      const stats = hasSidecar(entry) ? undefined : statsIfLookedAt(this.#workPath(entry))
      const unwritten = await this.#writeSidecar(entry.sequence)
      const to = unwritten ? { isGone: false, why: unwritten } : await this.#moveOut(entry)
      if (typeof to === 'string') {
        if (stats && entry.digest) this.#growth.settled(entry, entry.digest, to, stats)
        places.set(entry, to)
        directories.add(dirname(to))
      } else if (!to.isGone) {
        stuck.add(entry)
        if (!this.#unmoved.add(entry, to.why)) this.#sidecars.delete(entry.sequence)
      }
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
      // Nobody has to do anything more for it.
      this.#queue.remove(entry.sequence)
      if (stuck.has(entry)) continue
      const place = places.get(entry)
      this.#putManifestAway(entry, place)
      crashPoint('P8-manifest-removed')
      this.#journal.moved(entry.sequence)
      this.#unmoved.remove(entry.sequence)
      // One that was moved before a crash is counted by the limit already.
      if (place === undefined || entry.outcome !== 'applied' || !entry.disposable) continue
      if (entry.digest !== undefined) {
        const name = relative(this.#paths.archiveDisposable, place)
        await this.#archiveLimit.added(name, entry.digest.sizeBytes)
      }
    }
  }

  /** @returns where it stands now, or why it does not. */
  async #moveOut(entry: QueueEntry): Promise<string | MoveFailure> {
    const from = this.#workPath(entry)
    const place = settledPlace(entry, this.#paths)
    const isOfADay = place.directory !== place.root
    const why = isOfADay ? await this.#days.ready(place.root, place.directory) : undefined
    if (why !== undefined) return { isGone: false, why }
    const names = hasSidecar(entry) ? [nameBesideSidecar(place, entry, from)] : place.names
    let stays: MoveFailure = { isGone: false, why: 'its name is taken' }
    for (const name of new Set([...names, ...place.names.slice(-1)])) {
      const to = join(place.directory, name)
      const failure = moveToFree(from, to)
      if (failure === undefined) return to
      stays = failure
      if (!failure.isTaken) break
    }
    return stays
  }

  /** One of ours has been read, and its numbers are in the journal. */
  #putManifestAway(entry: QueueEntry, place: string | undefined): void {
    const manifest = `${this.#workPath(entry)}${MANIFEST_SUFFIX}`
    const removesManifest = entry.manifestProblem === undefined
    const { directory, names } = settledPlace(entry, this.#paths)
    const beside = place === undefined ? names : [basename(place), names[1]]
    let stays = removesManifest ? removeIfThere(manifest) : undefined
    for (const name of removesManifest ? [] : beside) {
      const failure = moveToFree(manifest, join(directory, `${name}${MANIFEST_SUFFIX}`))
      stays = failure
      if (!failure?.isTaken) break
    }
    if (stays === undefined || stays.isGone) return
    this.#log.warn('left in work/: the manifest of a settled file', {
      ...loggedFile(entry, entry.digest),
      ...{ code: 'LEFT_IN_WORK', because: stays.why },
    })
  }

  #workPath(entry: QueueEntry): string {
    return join(this.#paths.work, workName(entry.sequence, entry.name))
  }

  /** @returns why it could not be written; undefined if it is, or there is none to write. */
  async #writeSidecar(sequence: number): Promise<string | undefined> {
    const sidecar = this.#sidecars.get(sequence)
    if (sidecar === undefined) return undefined
    const why = await this.#replaceOnceThereIsRoom(sidecar)
    if (why !== undefined) return `its sidecar cannot be written: ${why}`
    this.#sidecars.delete(sequence)
    crashPoint('P7-sidecar-written')
    return undefined
  }

  async #replaceOnceThereIsRoom({ entry, text }: Sidecar): Promise<string | undefined> {
    for (let hasMissed = false; ; ) {
      try {
        const { work } = this.#paths
        const place = settledPlace(entry, this.#paths)
        // Else it would be left on what is mounted there.
        const trouble = renameTrouble(work, place.directory)
        if (trouble !== undefined) return `${place.directory} and ${work} ${trouble}`
        const name = nameBesideSidecar(place, entry, this.#workPath(entry))
        await replaceFile(sidecarPath(place.directory, name), text)
        return undefined
      } catch (error) {
        const cause = toError(error).cause ?? error
        if (hasCode(cause, 'ENOSPC', 'EDQUOT')) {
          this.#disk.foundFull(describeError(error))
          await this.#disk.room(this.#signal)
        } else if (hasCode(cause, 'ENOENT', 'ENOTDIR') && !hasMissed) {
          hasMissed = true
          await this.#directories.ready(this.#signal)
        } else if (hasCode(cause, 'ENAMETOOLONG')) {
          this.#log.warn('no sidecar: its name is too long here', {
            ...loggedFile(entry, entry.digest),
            code: 'ENAMETOOLONG',
          })
          return undefined
        } else if (isOfOneName(cause)) return systemReason(cause)
        else throw error
        this.#signal.throwIfAborted()
      }
    }
  }
}

/** A system's error that tells of no disk that fails. */
function isOfOneName(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && !hasCode(error, 'EIO')
}

/**
 * Also one that was taken back before it was settled, or is held: it can be counted later, without its bad
 * lines, when nobody reads it any more.
 */
function hasItsGoodLinesRecorded({ outcome, ledgerSequence }: Ending): boolean {
  const isAside = outcome === 'reverted' || outcome === 'held'
  return outcome === 'applied' || (isAside && ledgerSequence !== undefined)
}

interface Sidecar {
  readonly entry: QueueEntry
  readonly text: string
}

/** It says why a person is needed. */
function hasSidecar({ outcome }: { readonly outcome: Outcome | undefined }): boolean {
  return outcome === 'quarantined' || outcome === 'held'
}

function sidecarOf({ entry, outcome, digest, reason, evidence, whatNow }: Ending): Sidecar {
  const sidecar = {
    name: entry.name,
    workSequence: entry.sequence,
    sha256: hasHash(digest) ? Buffer.from(digest.sha256).toString('hex') : null,
    size: digest.sizeBytes,
    reason,
    ...evidence,
    ...(entry.expected === undefined
      ? {}
      : { manifest: { ...entry.expected, amount: entry.expected.amount?.toString() } }),
    ...(entry.terms?.usedAtMs === undefined
      ? {}
      : { usedAt: new Date(entry.terms.usedAtMs).toISOString() }),
    claimedAt: new Date(entry.claimedAtMs).toISOString(),
    [outcome === 'held' ? 'heldAt' : 'quarantinedAt']: new Date().toISOString(),
    whatNow:
      whatNow ??
      'Nothing of this file was counted. Mend it and put it into the inbox again under any name, or with "countersink requeue".',
  }
  return {
    entry: { ...entry, digest, outcome },
    text: printableLines(`${JSON.stringify(sidecar, null, 2)}\n`),
  }
}

/** Files moved, each in microseconds, before others on the event loop get a turn. */
const MOVED_AT_ONCE_MAX = 16
