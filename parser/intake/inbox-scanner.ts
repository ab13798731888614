/**
 * Looks through the inbox for files that nobody announced, or whose announcement was lost.
 *
 * - With a manifest a file is complete by construction: it is taken at once.
 * - Without one it must have been **quiet** (device, inode, size and times unchanged between looks) for
 *   `quietMs`: somebody may still be copying it. Then it is **sealed**: synced in the background. Once
 *   it is, and still the same, it is taken.
 * - If it is empty, or its last line has no line end, it may be a cut copy: it is **held** until it
 *   has been quiet for `cutHoldMs`, then taken, and the configured policy decides about it.
 *
 * Unfinished names are left alone. Whatever else stays where it is, is told of once and counted
 * (`LeftNames`): what cannot be taken, what has an unfinished name and has not changed for an hour.
 *
 * There may be any number of names, and somebody waits for an ack: a look is made in pieces of about
 * a millisecond, each of which goes on where the one before ended, whatever was found or not. What
 * goes wrong with one name is that name's.
 */

import type { BigIntStats, Dirent } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { systemReason } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'
import { CLAIMS_PER_COMMIT_MAX } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { exactStatsOf } from '../../shared/looks.ts'
import { formatDuration } from '../../shared/numbers.ts'
import { classifyName, isHidden, MANIFEST_SUFFIX, whyNoDataName } from '../../shared/paths.ts'
import type { InboxAnswer, LeftInInbox } from '../../shared/protocol.ts'
import { InboxDirectory } from './inbox-directory.ts'
import { LeftNames } from './left-names.ts'
import { LoneManifests } from './lone-manifests.ts'
import type { Seal, Sealer } from './sealer.ts'
import { Seen } from './seen.ts'

/** A file that can be claimed now. */
export interface Found {
  readonly name: string
  /** As it was when its bytes were on the disk; undefined where a manifest vouches for it. */
  readonly sealed: FileIdentity | undefined
}

/** A piece of a look. */
export interface Look {
  readonly found: readonly Found[]
  /** The look has come to the other end, or cannot go on; the next piece begins another one. */
  readonly isOver: boolean
}

/** How long a file without a manifest must be unchanged; and how long if it may be cut. */
type Waits = Pick<Config, 'quietMs' | 'cutHoldMs'>

export class InboxScanner {
  readonly #inbox: string
  /** Asked each time: they may change. */
  readonly #waits: Waits
  readonly #sealer: Sealer
  readonly #onSealed: () => void
  readonly #directory: InboxDirectory
  readonly #left: LeftNames
  readonly #lone: LoneManifests
  /** Files without a manifest. */
  readonly #plain = new Seen<Plain>()
  readonly #unfinished = new Seen<Unfinished>()
  /** What is still to forget names that this look has not met. */
  #toSweep: { forgetUnmet(): boolean }[] = []
  /** In their order; at most one for each that is remembered. */
  readonly #toSeal = new Set<{ readonly path: string; readonly plain: Plain }>()
  #sealing = 0

  constructor(
    options: {
      inbox: string
      sealer: Sealer
      /** All files that the last looks wanted synced are: another look may find them ready. */
      onSealed?: () => void
      log: Log
    } & Waits,
  ) {
    const { inbox, log } = options
    this.#inbox = inbox
    this.#waits = options
    this.#sealer = options.sealer
    this.#onSealed = options.onSealed ?? (() => {})
    this.#directory = new InboxDirectory(inbox, log)
    this.#left = new LeftNames(log)
    this.#lone = new LoneManifests({ inbox, log, waits: options, left: this.#left })
  }

  /** What stands in the inbox and is not taken, for `status`. */
  get left(): LeftInInbox | undefined {
    return this.#left.report
  }

  /** What the last look knows of a name. */
  whatOf(name: string): InboxAnswer {
    const left = this.#left.whyLeft(name)
    if (left !== undefined) return { left }
    const plain = this.#plain.peek(name)
    if (plain === undefined) return {}
    const quietForMs = performance.now() - plain.sinceMs
    if (quietForMs < this.#waits.quietMs) {
      return { waits: `it must not have changed for ${formatDuration(this.#waits.quietMs)}` }
    }
    const isHeld = typeof plain.seal === 'object' && quietForMs < this.#waits.cutHoldMs
    return {
      waits: isHeld ? `it may be cut, ${HELD} ${formatDuration(this.#waits.cutHoldMs)}` : SOON,
    }
  }

  /** Why the inbox cannot be looked into. */
  get awayBecause(): string | undefined {
    return this.#directory.awayBecause
  }

  /** Whether there is an inbox; to be asked now and then between looks. */
  checkDirectory(): void {
    this.#directory.check()
  }

  /**
   * One more piece of a look.
   *
   * @param nowMs a monotonic clock.
   * @param most so many files can be claimed now.
   */
  async look(nowMs: number, most = CLAIMS_PER_COMMIT_MAX): Promise<Look> {
    const found: Found[] = []
    const begunMs = performance.now()
    const isTimeUp = (): boolean =>
      performance.now() - begunMs >= PIECE_MS + found.length * WORTH_OF_FOUND_MS
    while (this.#toSweep.length === 0) {
      const entry = this.#directory.next()
      if (entry === 'away') return { found, isOver: true }
      if (entry === 'end') {
        this.#toSweep = [this.#lone, this.#plain, this.#unfinished, this.#left]
        break
      }
      const one = await this.#lookAt(entry, nowMs)
      if (one !== undefined && found.push(one) >= most) return { found, isOver: false }
      if (isTimeUp()) return { found, isOver: false }
    }
    do {
      if (this.#toSweep[0]?.forgetUnmet()) this.#toSweep.shift()
    } while (this.#toSweep.length > 0 && !isTimeUp())
    return { found, isOver: this.#toSweep.length === 0 }
  }

  /** Says, once, that something stays where it is. */
  leave(name: string, why: string): void {
    this.#left.leave(name, why)
  }

  /** The same of one that could not be claimed; those behind it are not held up meanwhile. */
  leaveForNow(name: string, why: string, nowMs: number): void {
    this.#left.leaveForNow(name, why, nowMs)
  }

  /** It was claimed. */
  taken(name: string): void {
    this.#left.taken(name)
  }

  async #lookAt(entry: Dirent, nowMs: number): Promise<Found | undefined> {
    const { name } = entry
    const isToWait = this.#left.isToWait(name, nowMs)
    const kind = classifyName(name)
    if (isToWait || (kind === 'unfinished' && isHidden(name))) return undefined
    try {
      if (kind === 'unfinished') this.#lookAtUnfinished(name, nowMs)
      else if (kind === 'unfit') this.leave(name, `this cannot be a name: ${whyNoDataName(name)}`)
      else if (kind === 'manifest') await this.#lone.look(name, nowMs)
      else if (!entry.isFile()) this.leave(name, NO_FILE)
      else return this.#lookAtData(name, nowMs)
    } catch (error) {
      this.leaveForNow(name, `it cannot be looked at (${systemReason(error)})`, nowMs)
    }
    return undefined
  }

  #lookAtData(name: string, nowMs: number): Found | undefined {
    const stats = exactStatsOf(join(this.#inbox, name))
    if (stats?.isFile()) {
      this.#left.reconsider(name)
      return this.#find(name, stats, nowMs)
    }
    if (stats !== undefined) this.leave(name, NO_FILE)
    return undefined
  }

  #find(name: string, stats: BigIntStats, nowMs: number): Found | undefined {
    const path = join(this.#inbox, name)
    const manifest = exactStatsOf(`${path}${MANIFEST_SUFFIX}`)
    if (manifest !== undefined) return { name, sealed: undefined }
    const identity = identityOf(stats)
    const { ctimeNs } = stats
    let plain = this.#plain.get(name)
    if (plain?.ctimeNs !== ctimeNs || !isSameFile(plain.identity, identity)) {
      plain = { identity, ctimeNs, sinceMs: nowMs, seal: undefined }
      if (!this.#plain.set(name, plain)) return undefined
    }
    const quietForMs = nowMs - plain.sinceMs
    if (quietForMs < this.#waits.quietMs) return undefined
    const { seal } = plain
    if (seal === undefined) {
      plain.seal = 'going'
      this.#toSeal.add({ path, plain })
      this.#sealMore()
    }
    if (seal === undefined || seal === 'going') return undefined
    if (seal.kind === 'failed') {
      this.leave(name, `it cannot be synced (${seal.why}) and may be incomplete: copy it anew`)
    }
    if (seal.kind === 'unreadable') return { name, sealed: identity }
    if (seal.kind !== 'sealed') return undefined
    return seal.mayBeCut && quietForMs < this.#waits.cutHoldMs
      ? undefined
      : { name, sealed: identity }
  }

  /** As many as the sealer takes; the others follow as it gets on, without another look. */
  #sealMore(): void {
    for (const wish of this.#toSeal) {
      const { path, plain } = wish
      const sealing = this.#sealer.seal(path, plain.identity)
      if (sealing === undefined) return
      this.#toSeal.delete(wish)
      this.#sealing += 1
      void sealing.then(seal => {
        plain.seal = seal.kind === 'again' ? undefined : seal
        this.#sealing -= 1
        this.#sealMore()
        if (this.#sealing === 0) this.#onSealed()
      })
    }
  }

  /** Nobody's file is ignored for ever without a word: its owner may not know of the names. */
  #lookAtUnfinished(name: string, nowMs: number): void {
    const before = this.#unfinished.get(name)
    if (before !== undefined && nowMs < before.nextLookMs) return
    const stats = exactStatsOf(join(this.#inbox, name))
    if (stats === undefined) return
    const identity = identityOf(stats)
    if (before !== undefined && isSameFile(before.identity, identity)) {
      this.leave(name, `${whyNoDataName(name)}; rename it if it is finished`)
    } else this.#left.reconsider(name)
    this.#unfinished.set(name, { identity, nextLookMs: nowMs + UNFINISHED_MS })
  }
}

/** A file without a manifest, and since when it is as it is. */
interface Plain {
  readonly identity: FileIdentity
  /** Cannot be set back by a program, as the modification time can. */
  readonly ctimeNs: bigint
  readonly sinceMs: number
  seal: Exclude<Seal, { kind: 'again' }> | 'going' | undefined
}

interface Unfinished {
  readonly identity: FileIdentity
  readonly nextLookMs: number
}

const NO_FILE = 'it is not a regular file'
const HELD = 'and is held until it has not changed for'
const SOON = 'it is synced first, and taken by one of the next looks'
/** How long a piece of a look takes; somebody may wait for an ack meanwhile. */
const PIECE_MS = 1
/** What is found is worth more: claiming it takes longer. */
const WORTH_OF_FOUND_MS = 0.015
/** How long something unfinished must not have changed until it is told of. */
const UNFINISHED_MS = 3_600_000
