import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'
import { formatDuration } from '../../shared/numbers.ts'

/**
 * Watches a file that is to be published until nobody seems to write to it: it was last modified
 * `quietMs` ago, or it has not changed for so long while it was watched. The time of its last
 * modification is not believed when it lies in the future, or when the file was seen to change (a
 * copying program may set it back).
 */
export class SourceRest {
  readonly path: string
  readonly #quietMs: number
  #waitingSinceMs = performance.now()
  #copies = 0
  #seen: FileIdentity | undefined
  #seenSinceMs = 0
  #hasChanged = false

  constructor(path: string, quietMs: number) {
    this.path = path
    this.#quietMs = quietMs
  }

  /**
   * undefined: not yet at rest.
   *
   * @throws CountersinkError FILE_UNFIT when it is no regular file, or has not come to rest in time.
   */
  async look(): Promise<FileIdentity | undefined> {
    const stats = await statSource(this.path)
    const nowMs = performance.now()
    if (this.#seen === undefined || !isSameFile(this.#seen, stats)) {
      if (this.#seen !== undefined) this.#hasChanged = true
      this.#seen = identityOf(stats)
      this.#seenSinceMs = nowMs
    }
    const ageMs = Date.now() - Number(stats.mtimeNs / 1_000_000n)
    const isBelieved = !this.#hasChanged && ageMs >= this.#quietMs
    if (isBelieved || nowMs - this.#seenSinceMs >= this.#quietMs) return this.#seen
    if (nowMs - this.#waitingSinceMs > waitMaxMs(this.#quietMs)) {
      throw unfit(
        this.path,
        `it was written to again and again for ${formatDuration(nowMs - this.#waitingSinceMs)}`,
        'Publish it when it is complete.',
      )
    }
    return undefined
  }

  /** It was seen to change while it was copied, which may have taken longer than is waited. */
  changed(): void {
    this.#hasChanged = true
    this.#seenSinceMs = performance.now()
    this.#copies += 1
    if (this.#copies < COPIES_MAX) this.#waitingSinceMs = performance.now()
  }
}

/** @throws CountersinkError FILE_UNFIT */
export async function untilAtRest(source: SourceRest): Promise<FileIdentity> {
  for (;;) {
    const identity = await source.look()
    if (identity !== undefined) return identity
    await sleep(LOOK_INTERVAL_MS)
  }
}

const LOOK_INTERVAL_MS = 100
/** Beyond it, waiting is not begun anew. */
const COPIES_MAX = 3

/** What a link points to, as the file is opened through it. @throws CountersinkError FILE_UNFIT */
export async function statSource(path: string): Promise<BigIntStats> {
  let stats: BigIntStats
  try {
    stats = await stat(path, { bigint: true })
  } catch (cause) {
    throw unfit(path, hasCode(cause, 'ENOENT') ? 'there is no such file' : toError(cause).message)
  }
  if (!stats.isFile()) throw unfit(path, 'not a regular file')
  return stats
}

export function unfit(path: string, why: string, advice?: string): CountersinkError {
  const options = advice === undefined ? {} : { advice }
  return new CountersinkError(
    'FILE_UNFIT',
    `${path === '' ? '""' : path} cannot be published: ${why}`,
    options,
  )
}

/** Long enough for a copy that is nearly done, short enough to wait for. */
function waitMaxMs(quietMs: number): number {
  return Math.max(10_000, 12 * quietMs)
}
