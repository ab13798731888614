import type { BigIntStats } from 'node:fs'
import { lstat, open, opendir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { closeQuietly } from '../shared/durable.ts'
import { hasCode } from '../shared/errors.ts'
import { CLAIMS_PER_COMMIT_MAX } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { classifyName, MANIFEST_SUFFIX } from '../shared/paths.ts'

/**
 * Looks through the inbox for files that nobody announced, or whose announcement was lost.
 *
 * - With a manifest a file is complete by construction: it is taken at once.
 * - Without one it must have been **quiet** (size, mtime, inode unchanged between looks) for
 *   `quietMs`: somebody may still be copying it.
 * - If it is quiet but its last line has no line end it may be a cut copy: it is **held** for
 *   `cutHoldMs`, then taken, and the configured policy decides about it.
 *
 * Unfinished names (`.x`, `x.tmp`, `x.part`, `x.partial`) are left alone; names and kinds of files
 * that cannot be taken are warned of once each.
 */
export class InboxScanner {
  readonly #inbox: string
  readonly #quietMs: number
  readonly #cutHoldMs: number
  readonly #log: Log
  /** Files without a manifest, and since when they are as they are. */
  #watched: Watched = new Map()
  #warned: ReadonlySet<string> = new Set()

  constructor(options: { inbox: string; quietMs: number; cutHoldMs: number; log: Log }) {
    this.#inbox = options.inbox
    this.#quietMs = options.quietMs
    this.#cutHoldMs = options.cutHoldMs
    this.#log = options.log
  }

  /**
   * Names that can be claimed now, at most one commit's worth; the next look finds the others.
   *
   * @param nowMs a monotonic clock.
   */
  async look(nowMs: number): Promise<string[]> {
    const ready: string[] = []
    const watched: Watched = new Map()
    const warned = new Set<string>()
    const warnOnce = (name: string, why: string): void => {
      if (!this.#warned.has(name)) this.#log.warn(`left in the inbox: ${why}`, { name })
      if (warned.size < WATCHED_MAX) warned.add(name)
    }
    for await (const { name } of await opendir(this.#inbox)) {
      const kind = classifyName(name)
      if (kind === 'unfinished') continue
      if (kind === 'unfit') {
        warnOnce(
          name,
          'its name is too long, or has control characters or bytes that are not UTF-8',
        )
        continue
      }
      const stats = await statIfThere(join(this.#inbox, name))
      if (stats === undefined) continue
      if (kind === 'manifest') {
        await this.#sweepOrphan(name, stats)
      } else if (!stats.isFile()) {
        warnOnce(name, 'it is not a regular file')
      } else if (await this.#isReady(name, stats, nowMs, watched)) {
        ready.push(name)
        if (ready.length === CLAIMS_PER_COMMIT_MAX) return ready
      }
    }
    this.#watched = watched
    this.#warned = warned
    return ready
  }

  async #isReady(
    name: string,
    stats: BigIntStats,
    nowMs: number,
    watched: Watched,
  ): Promise<boolean> {
    const path = join(this.#inbox, name)
    if ((await statIfThere(`${path}${MANIFEST_SUFFIX}`)) !== undefined) return true
    const identity = `${stats.ino} ${stats.size} ${stats.mtimeNs}`
    const before = this.#watched.get(name)
    const sinceMs = before?.identity === identity ? before.sinceMs : nowMs
    if (watched.size < WATCHED_MAX) watched.set(name, { identity, sinceMs })
    const quietForMs = nowMs - sinceMs
    if (quietForMs < this.#quietMs) return false
    return quietForMs >= this.#cutHoldMs || (await endsWithLineEnd(path, stats.size))
  }

  /** A manifest whose data never came (its maker died between the two): gone after a day. */
  async #sweepOrphan(name: string, stats: BigIntStats): Promise<void> {
    if (Date.now() - Number(stats.mtimeMs) < ORPHAN_AGE_MS) return
    const data = join(this.#inbox, name.slice(0, -MANIFEST_SUFFIX.length))
    if ((await statIfThere(data)) !== undefined) return
    await rm(join(this.#inbox, name), { force: true })
    this.#log.info('removed a manifest whose data never came', { name })
  }
}

type Watched = Map<string, { readonly identity: string; readonly sinceMs: number }>

const ORPHAN_AGE_MS = 24 * 3_600_000
/** Files without a manifest that are watched at a time; the others wait for their turn. */
const WATCHED_MAX = 100_000
const LINE_END = 0x0a

async function endsWithLineEnd(path: string, sizeBytes: bigint): Promise<boolean> {
  if (sizeBytes === 0n) return true
  try {
    const handle = await open(path)
    try {
      const last = Buffer.alloc(1)
      await handle.read(last, 0, 1, Number(sizeBytes) - 1)
      return last[0] === LINE_END
    } finally {
      await closeQuietly(handle)
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    // It may not be read: once it is claimed, that is said where a person looks for it.
    if (hasCode(error, 'EACCES', 'EPERM')) return true
    throw error
  }
}

async function statIfThere(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
