/**
 * Manifests in the inbox beside which no data stands: it is still to come, or its maker has died
 * between the two.
 *
 * One that is ours, and has stood alone for a day, is removed. Its age counts from when it was first
 * seen here, by a clock that nobody sets: its own time may be that of the file it was copied from.
 * Whatever else has such a name is somebody's file: it is told of once, and never removed.
 *
 * Each is looked at when it is due, not at each look: there may be very many.
 */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { systemReason } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'
import type { Log } from '../../shared/log.ts'
import { exactStatsOf } from '../../shared/looks.ts'
import { readManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../../shared/paths.ts'
import type { LeftNames } from './left-names.ts'
import { Seen } from './seen.ts'

export class LoneManifests {
  readonly #inbox: string
  readonly #waits: Pick<Config, 'quietMs'>
  readonly #left: LeftNames
  readonly #log: Log
  readonly #seen = new Seen<Lone>()

  constructor(options: {
    inbox: string
    waits: Pick<Config, 'quietMs'>
    left: LeftNames
    log: Log
  }) {
    this.#inbox = options.inbox
    this.#waits = options.waits
    this.#left = options.left
    this.#log = options.log
  }

  /** @param nowMs a monotonic clock. */
  async look(name: string, nowMs: number): Promise<void> {
    const lone = this.#seen.get(name)
    if (lone !== undefined && nowMs < lone.nextLookMs) return
    const stats = exactStatsOf(join(this.#inbox, name))
    if (stats === undefined) return
    const identity = identityOf(stats)
    const data = join(this.#inbox, name.slice(0, -MANIFEST_SUFFIX.length))
    const isNew = lone === undefined || !isSameFile(lone.identity, identity)
    if (isNew || exactStatsOf(data) !== undefined) {
      this.#left.reconsider(name)
      const nextLookMs = nowMs + this.#waits.quietMs
      this.#seen.set(name, { identity, sinceMs: nowMs, isJudged: false, nextLookMs })
      return
    }
    const isOld = nowMs - lone.sinceMs >= LONE_AGE_MS
    if (isOld || !lone.isJudged) await this.#judge(name, isOld)
    const nextLookMs = isOld
      ? nowMs + LONE_AGE_MS
      : Math.min(nowMs + AGAIN_MS, lone.sinceMs + LONE_AGE_MS)
    this.#seen.set(name, { ...lone, isJudged: true, nextLookMs })
  }

  async #judge(name: string, isOld: boolean): Promise<void> {
    const problem = await problemOf(join(this.#inbox, name))
    if (problem === 'gone') return
    if (problem !== undefined) {
      this.#left.leave(name, `it has the name of a manifest and is none of ours (${problem})`)
    } else if (isOld) {
      rmSync(join(this.#inbox, name), { force: true })
      this.#log.info('removed a manifest whose data never came', { name })
    } else {
      this.#log.info('a manifest waits for its data', { name })
    }
  }

  /** As `Seen.forgetUnmet`. */
  forgetUnmet(): boolean {
    return this.#seen.forgetUnmet()
  }
}

interface Lone {
  readonly identity: FileIdentity
  /** Since when it is known to stand there alone. */
  readonly sinceMs: number
  readonly isJudged: boolean
  readonly nextLookMs: number
}

const LONE_AGE_MS = 24 * 3_600_000
/** How often it is looked at whether its data has come. */
const AGAIN_MS = 30_000

/** Why it is not one of ours; undefined if it is. */
async function problemOf(path: string): Promise<string | undefined> {
  try {
    return (await readManifest(path)) === undefined ? 'gone' : undefined
  } catch (error) {
    return systemReason(error)
  }
}
