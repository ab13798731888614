/**
 * Tells of files that changed after they were counted: their outcome stands, but what was written to
 * them later is in no total, and in the archive under a hash that is not theirs.
 *
 * A writer that paused for longer than the quiet time still has its file open, wherever that has
 * been moved. So the files that came without a manifest are looked at for an hour more, some of them
 * every second; each is told of once. Only the newest are remembered. A restart begins again with
 * what the journal says was settled within the hour; of these the sizes are known.
 */

import type { BigIntStats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { archiveDay, archivedName } from '../../shared/archive.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName } from '../../shared/paths.ts'
import type { GrewAfterwards, ProcessedFile } from '../../shared/protocol.ts'
import { changeSinceRead } from '../changes.ts'
import { type DigestFacts, type Growth, nameAsPublished, type QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'

export class GrowthWatch {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #log: Log
  /** In the order in which they were settled. */
  readonly #watched: Watched[] = []
  #next = 0
  #unwritten: Growth[] = []
  #files = 0
  #newest: readonly { readonly name: string; readonly change: string }[] = []

  constructor(options: { paths: StatePaths; journal: Journal; log: Log }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#log = options.log
  }

  /** For `status`; undefined: none. */
  get report(): GrewAfterwards | undefined {
    return this.#files === 0 ? undefined : { files: this.#files, newest: this.#newest }
  }

  /** What the ledger is still to be told, which is then whoever's who takes it. */
  takeUnwritten(): Growth[] {
    return this.#unwritten.splice(0)
  }

  /** A file that was counted leaves work/ for this path; `now` is what it is in this moment. */
  settled(entry: QueueEntry, digest: DigestFacts, path: string, now: BigIntStats): void {
    const { name, identity, isPlain } = entry
    const change = changeSinceRead(entry, digest, now)
    if (change !== undefined) this.#tell(name, digest.sha256, change)
    else if (isPlain) {
      this.#watched.push({ name, path, identity, digest, untilMs: performance.now() + WATCH_MS })
      this.#forgetOldest(Math.max(0, this.#watched.length - WATCHED_MAX))
    }
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    await this.#rememberNewest(signal)
    while (!signal.aborted) {
      await this.#lookAtSome(signal)
      await untilStopped.wait(signal, LOOK_INTERVAL_MS)
    }
  }

  #forgetOldest(count: number): void {
    this.#watched.splice(0, count)
    this.#next = Math.max(0, this.#next - count)
  }

  async #lookAtSome(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    const young = this.#watched.findIndex(({ untilMs }) => untilMs > nowMs)
    this.#forgetOldest(young === -1 ? this.#watched.length : young)
    if (this.#next >= this.#watched.length) this.#next = 0
    for (const file of this.#watched.slice(this.#next, this.#next + LOOKED_AT_ONCE_MAX)) {
      if (signal.aborted) return
      // One that cannot be looked at is not watched any more.
      const stats = await lstat(file.path, { bigint: true }).catch(() => undefined)
      const change = stats && changeSinceRead(file, file.digest, stats)
      if (stats !== undefined && change === undefined) this.#next += 1
      else this.#remove(file)
      if (change !== undefined) this.#tell(file.name, file.digest.sha256, change)
    }
  }

  /** Others may have been added, and the oldest forgotten, while it was looked at. */
  #remove(file: Watched): void {
    const at = this.#watched.indexOf(file)
    if (at === -1) return
    this.#watched.splice(at, 1)
    if (at < this.#next) this.#next -= 1
  }

  #tell(name: string, sha256: Uint8Array, change: string): void {
    this.#files += 1
    this.#newest = [{ name, change }, ...this.#newest].slice(0, NEWEST_MAX)
    this.#log.warn('a file changed after it was counted; what came later is in no total', {
      ...{ name, sha256: Buffer.from(sha256).toString('hex') },
      ...{ code: 'CHANGED_AFTER_COUNT', change },
    })
    const reason = `changed after it was counted: ${change}`
    const given = nameAsPublished({ name }, { sha256 })
    this.#unwritten.push({ name: given, sha256, reason, seenAtMs: Date.now() })
    if (this.#unwritten.length > UNWRITTEN_MAX) this.#unwritten.shift()
  }

  /** As far as they were settled within the hour; what has left its place since is forgotten. */
  async #rememberNewest(signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    const known = new Set(this.#watched.map(({ path }) => path))
    const found: Watched[] = []
    let number = this.#journal.state.nextNumber - 1
    for (; number > 0 && found.length < WATCHED_MAX && !signal.aborted; number -= 1) {
      if (number % RECORDS_AT_ONCE_MAX === 0) await setImmediate()
      const file = this.#journal.processed(number)
      if (file === undefined) continue
      const leftMs = WATCH_MS - (Date.now() - file.settledAtMs)
      if (leftMs <= 0) break
      if (file.outcome !== 'applied' && file.outcome !== 'duplicate') continue
      const sha256 = Buffer.from(file.sha256, 'hex')
      const path = settledPath(file, sha256, this.#paths)
      if (known.has(path)) continue
      found.push({
        ...{ name: file.name, path, identity: undefined },
        digest: { sha256, sizeBytes: file.sizeBytes },
        untilMs: nowMs + Math.min(leftMs, WATCH_MS),
      })
    }
    this.#watched.unshift(...found.reverse())
    this.#forgetOldest(Math.max(0, this.#watched.length - WATCHED_MAX))
  }
}

/** Of a duplicate, and of a file that an earlier version has counted, in one directory for all. */
function settledPath(
  { name, outcome, settledAtMs }: ProcessedFile,
  sha256: Buffer,
  { archive, duplicate }: StatePaths,
): string {
  if (outcome === 'duplicate') return join(duplicate, settledName(name, sha256))
  const path = join(archive, archiveDay(settledAtMs), archivedName(name, sha256))
  return statsIfLookedAt(path) !== undefined ? path : join(archive, settledName(name, sha256))
}

interface Watched extends Pick<QueueEntry, 'name' | 'identity'> {
  readonly path: string
  readonly digest: Pick<DigestFacts, 'sha256' | 'sizeBytes'>
  readonly untilMs: number
}

const WATCH_MS = 3_600_000
const WATCHED_MAX = 10_000
const LOOK_INTERVAL_MS = 1_000
/** All that are watched have their turn within two minutes. */
const LOOKED_AT_ONCE_MAX = 100
const RECORDS_AT_ONCE_MAX = 100
/** Names in `status`. */
const NEWEST_MAX = 10
/** Kept for a database that is away; the log has told of all. */
const UNWRITTEN_MAX = 1_000
