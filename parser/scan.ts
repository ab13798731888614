import type { BigIntStats } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { type FileIdentity, identityOf, isSameFile } from '../shared/file-identity.ts'
import { CLAIMS_PER_COMMIT_MAX } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { classifyName, isHidden, MANIFEST_SUFFIX, whyNoDataName } from '../shared/paths.ts'
import { LoneManifests } from './lone-manifests.ts'
import type { Seal, Sealer } from './sealer.ts'
import { Seen } from './seen.ts'
import { statIfThere } from './stat-if-there.ts'

/** A file that can be claimed now. */
export interface Found {
  readonly name: string
  /** As it was when its bytes were on the disk; undefined where a manifest vouches for it. */
  readonly sealed: FileIdentity | undefined
}

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
 * Unfinished names are left alone. Whatever else stays where it is, is told of once: what cannot be
 * taken at once, what has an unfinished name and has not changed for an hour then.
 */
export class InboxScanner {
  readonly #inbox: string
  readonly #quietMs: number
  readonly #cutHoldMs: number
  readonly #sealer: Sealer
  readonly #onSealed: () => void
  readonly #log: Log
  readonly #lone: LoneManifests
  /** Files without a manifest. */
  readonly #plain = new Seen<Plain>()
  readonly #unfinished = new Seen<Unfinished>()
  /** What was told of, and until when it is not offered again. */
  readonly #left = new Seen<{ readonly untilMs: number }>()
  #sealing = 0

  constructor(options: {
    inbox: string
    quietMs: number
    cutHoldMs: number
    sealer: Sealer
    /** All files that the last looks wanted synced are: another look may find them ready. */
    onSealed?: () => void
    log: Log
  }) {
    const { inbox, quietMs, log } = options
    this.#inbox = inbox
    this.#quietMs = quietMs
    this.#cutHoldMs = options.cutHoldMs
    this.#sealer = options.sealer
    this.#onSealed = options.onSealed ?? (() => {})
    this.#log = log
    this.#lone = new LoneManifests({
      ...{ inbox, quietMs, log },
      leave: (name, why) => this.leave(name, why),
    })
  }

  /**
   * What can be claimed now, at most one commit's worth; the next look finds the others.
   *
   * @param nowMs a monotonic clock.
   */
  async look(nowMs: number): Promise<Found[]> {
    const ready: Found[] = []
    for await (const { name } of await opendir(this.#inbox)) {
      const notBeforeMs = this.#left.get(name)?.untilMs ?? 0
      const kind = classifyName(name)
      if (kind === 'unfinished') {
        if (!isHidden(name)) await this.#lookAtUnfinished(name, nowMs)
        continue
      }
      if (kind === 'unfit') {
        this.leave(name, `this cannot be a name: ${whyNoDataName(name)}`)
        continue
      }
      const stats = await statIfThere(join(this.#inbox, name))
      if (stats === undefined) continue
      if (kind === 'manifest') {
        await this.#lone.look(name, stats, nowMs)
      } else if (!stats.isFile()) {
        this.leave(name, 'it is not a regular file')
      } else {
        const found = await this.#find(name, stats, nowMs)
        if (found === undefined || nowMs < notBeforeMs) continue
        ready.push(found)
        if (ready.length === CLAIMS_PER_COMMIT_MAX) return ready
      }
    }
    for (const seen of [this.#lone, this.#plain, this.#unfinished, this.#left]) seen.endLook()
    return ready
  }

  /** Says, once, that something stays where it is. */
  leave(name: string, why: string, untilMs = 0): void {
    const isNew = this.#left.get(name) === undefined
    const isKept = this.#left.set(name, { untilMs })
    if (isNew && isKept) this.#log.warn(`left in the inbox: ${why}`, { name })
  }

  /** The same of one that could not be claimed; those behind it are not held up meanwhile. */
  leaveForNow(name: string, why: string, nowMs: number): void {
    this.leave(name, why, nowMs + LEFT_MS)
  }

  async #find(name: string, stats: BigIntStats, nowMs: number): Promise<Found | undefined> {
    const path = join(this.#inbox, name)
    const manifest = await statIfThere(`${path}${MANIFEST_SUFFIX}`)
    if (manifest !== undefined) return { name, sealed: undefined }
    const identity = identityOf(stats)
    const { ctimeNs } = stats
    let plain = this.#plain.get(name)
    if (plain?.ctimeNs !== ctimeNs || !isSameFile(plain.identity, identity)) {
      plain = { identity, ctimeNs, sinceMs: nowMs, seal: undefined }
      this.#plain.set(name, plain)
    }
    const quietForMs = nowMs - plain.sinceMs
    if (quietForMs < this.#quietMs) return undefined
    const { seal } = plain
    if (seal === undefined) this.#beginSeal(path, plain)
    if (seal === undefined || seal === 'going') return undefined
    if (seal.kind === 'failed') {
      this.leave(name, `it cannot be synced (${seal.why}) and may be incomplete: copy it anew`)
    }
    if (seal.kind === 'unreadable') return { name, sealed: identity }
    if (seal.kind !== 'sealed') return undefined
    return seal.mayBeCut && quietForMs < this.#cutHoldMs ? undefined : { name, sealed: identity }
  }

  #beginSeal(path: string, plain: Plain): void {
    const sealing = this.#sealer.seal(path, plain.identity)
    if (sealing === undefined) return
    plain.seal = 'going'
    this.#sealing += 1
    void sealing.then(seal => {
      plain.seal = seal.kind === 'again' ? undefined : seal
      this.#sealing -= 1
      if (this.#sealing === 0) this.#onSealed()
    })
  }

  /** Nobody's file is ignored for ever without a word: its owner may not know of the names. */
  async #lookAtUnfinished(name: string, nowMs: number): Promise<void> {
    const before = this.#unfinished.get(name)
    if (before !== undefined && nowMs < before.nextLookMs) return
    const stats = await statIfThere(join(this.#inbox, name))
    if (stats === undefined) return
    const identity = identityOf(stats)
    if (before !== undefined && isSameFile(before.identity, identity)) {
      this.leave(name, `${whyNoDataName(name)}; rename it if it is finished`)
    }
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

/** How long what could not be claimed is not tried again. */
const LEFT_MS = 30_000
/** How long something unfinished must not have changed until it is told of. */
const UNFINISHED_MS = 3_600_000
