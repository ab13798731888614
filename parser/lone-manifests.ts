import type { BigIntStats } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toError } from '../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../shared/file-identity.ts'
import type { Log } from '../shared/log.ts'
import { readManifest } from '../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../shared/paths.ts'
import { Seen } from './seen.ts'
import { statIfThere } from './stat-if-there.ts'

/**
 * Manifests in the inbox beside which no data stands: it is still to come, or its maker has died
 * between the two.
 *
 * One that is ours, and has stood alone for a day, is removed. Its age counts from when it was first
 * seen here, by a clock that nobody sets: its own time may be that of the file it was copied from.
 * Whatever else has such a name is somebody's file: it is told of once, and never removed.
 */
export class LoneManifests {
  readonly #inbox: string
  readonly #quietMs: number
  readonly #leave: (name: string, why: string) => void
  readonly #log: Log
  readonly #seen = new Seen<Lone>()

  constructor(options: {
    inbox: string
    quietMs: number
    /** Says once that something stays where it is. */
    leave: (name: string, why: string) => void
    log: Log
  }) {
    this.#inbox = options.inbox
    this.#quietMs = options.quietMs
    this.#leave = options.leave
    this.#log = options.log
  }

  /** @param nowMs a monotonic clock. */
  async look(name: string, stats: BigIntStats, nowMs: number): Promise<void> {
    const identity = identityOf(stats)
    const lone = this.#seen.get(name)
    const fresh = { identity, sinceMs: nowMs, isJudged: false }
    if (lone === undefined || !isSameFile(lone.identity, identity)) {
      this.#seen.set(name, fresh)
      return
    }
    const aloneForMs = nowMs - lone.sinceMs
    if (aloneForMs < (lone.isJudged ? LONE_AGE_MS : this.#quietMs)) return
    const data = join(this.#inbox, name.slice(0, -MANIFEST_SUFFIX.length))
    if ((await statIfThere(data)) !== undefined) {
      this.#seen.set(name, fresh)
      return
    }
    const problem = await problemOf(join(this.#inbox, name))
    if (problem === 'gone') return
    if (problem !== undefined) {
      this.#leave(name, `it has the name of a manifest and is none of ours (${problem})`)
      this.#seen.set(name, { ...fresh, isJudged: true })
    } else if (aloneForMs >= LONE_AGE_MS) {
      await rm(join(this.#inbox, name), { force: true })
      this.#log.info('removed a manifest whose data never came', { name })
    } else {
      this.#log.info('a manifest waits for its data', { name })
      this.#seen.set(name, { ...lone, isJudged: true })
    }
  }

  endLook(): void {
    this.#seen.endLook()
  }
}

interface Lone {
  readonly identity: FileIdentity
  /** Since when it is known to stand there alone. */
  readonly sinceMs: number
  readonly isJudged: boolean
}

const LONE_AGE_MS = 24 * 3_600_000

/** Why it is not one of ours; undefined if it is. */
async function problemOf(path: string): Promise<string | undefined> {
  try {
    return (await readManifest(path)) === undefined ? 'gone' : undefined
  } catch (error) {
    return toError(error).message
  }
}
