/**
 * The way in: one loop that claims what was announced and what a look into the inbox finds.
 *
 * Announcements and the timer only ring the bell; the loop takes what waits, moves it, commits
 * once, then answers all (so many announcements share one commit, and a lost one is found by the
 * next look). An ack is given only after the commit. An announced file without a manifest is synced
 * in the background first; the others do not wait for it.
 *
 * A look is made in pieces. Announcements come before each, and the loop rests between two that have
 * found nothing, so that a long look delays neither an ack nor anything else by more than a piece.
 */

import type { BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Config } from '../../shared/config.ts'
import { systemReason } from '../../shared/errors.ts'
import type { ParserEvents } from '../../shared/events.ts'
import { type FileIdentity, identityOf } from '../../shared/file-identity.ts'
import { Bell } from '../../shared/handoff.ts'
import { ANNOUNCEMENTS_WAITING_MAX, CLAIMS_PER_COMMIT_MAX } from '../../shared/limits.ts'
import type { Log } from '../../shared/log.ts'
import { exactStatsOf } from '../../shared/looks.ts'
import { type StatePaths, whyNoDataName } from '../../shared/paths.ts'
import type { Announce } from '../../shared/protocol.ts'
import type { DiskWatch } from '../disk-watch.ts'
import type { QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { OwnDirectories } from '../own-directories.ts'
import { adoptWork } from './adopt.ts'
import { announcedNow, type ClaimResult, claimFiles } from './claim.ts'
import { type AnnounceResult, EarlierAcks } from './earlier-acks.ts'
import type { InboxScanner } from './inbox-scanner.ts'
import { LookPace } from './look-pace.ts'
import type { QueueTally } from './queue-tally.ts'
import type { Seal, Sealer } from './sealer.ts'
import { toldOnce } from './told-once.ts'

interface Waiting {
  readonly announce: Announce
  readonly cameAtMs: number
  readonly answer: (result: AnnounceResult) => void
  /** As the file was when its bytes were on the disk, if no manifest vouches for it. */
  readonly sealed?: FileIdentity
  /** How often it was to be synced. */
  readonly seals?: number
}

export class Inbox {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #queue: QueueTally
  readonly #scanner: InboxScanner
  readonly #sealer: Sealer
  readonly #pace: LookPace
  readonly #limits: Pick<Config, 'queueFilesMax'>
  readonly #disk: DiskWatch
  readonly #events: ParserEvents
  readonly #directories: OwnDirectories
  readonly #earlier: EarlierAcks
  readonly #bell = new Bell()
  readonly #adoptionLog: Log
  #waiting: Waiting[] = []
  /** Synced, and gathered for a common claim. */
  #sealed: Waiting[] = []
  #sealing = 0
  #stopped = false
  #nextAdoptionMs = 0

  constructor(
    options: {
      paths: StatePaths
      journal: Journal
      queue: QueueTally
      scanner: InboxScanner
      sealer: Sealer
      disk: DiskWatch
      directories: OwnDirectories
      /** New entries are in the journal. */
      events: ParserEvents
      log: Log
    } & Pick<Config, 'scanIntervalMs' | 'queueFilesMax'>,
  ) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#queue = options.queue
    this.#scanner = options.scanner
    this.#sealer = options.sealer
    this.#pace = new LookPace(options)
    this.#limits = options
    this.#disk = options.disk
    this.#events = options.events
    this.#directories = options.directories
    this.#earlier = new EarlierAcks(options)
    this.#adoptionLog = toldOnce(options.log)
  }

  /** There may be something new to find. */
  lookSoon(): void {
    this.#pace.lookSoon()
    this.#bell.ring()
  }

  /** Resolves after the durable claim, or with the reason why there is none. */
  announce(announce: Announce): Promise<AnnounceResult> {
    if (this.#stopped) return Promise.resolve(later('the parser is stopping'))
    const waiting = this.#waiting.length + this.#sealed.length + this.#sealing
    if (waiting >= ANNOUNCEMENTS_WAITING_MAX) {
      return Promise.resolve(later(`${waiting} announcements wait already`))
    }
    return new Promise(answer => {
      this.#waiting.push({ announce, answer, cameAtMs: Date.now() })
      this.#bell.ring()
    })
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        const announced = this.#waiting.splice(0, CLAIMS_PER_COMMIT_MAX)
        if (announced.length > 0) await this.#claimAnnounced(announced)
        if (this.#pace.isDue) await this.#lookOn()
        else if (!this.#pace.isLooking) this.#scanner.checkDirectory()
        if (this.#waiting.length > 0) continue
        await this.#bell.wait(signal, Math.min(this.#pace.pauseMs, DIRECTORY_CHECK_MS))
      }
    } finally {
      this.#stopped = true
      const left = [...this.#waiting.splice(0), ...this.#sealed.splice(0)]
      for (const { answer } of left) answer(later('the parser is stopping'))
    }
  }

  get #room(): number {
    return this.#waitsFor === undefined ? this.#limits.queueFilesMax - this.#queue.files : 0
  }

  /** Why nothing can be taken, whatever it is. */
  get #waitsFor(): string | undefined {
    return this.#directories.reason ?? this.#disk.reason
  }

  async #claimAnnounced(announced: readonly Waiting[]): Promise<void> {
    const fit = announced.filter(({ announce, answer }) => {
      const why = whyNoDataName(announce.name)
      if (why === undefined) return true
      const shown = JSON.stringify(announce.name.slice(0, 100))
      answer({ outcome: 'refused', reason: `${shown} cannot be a name in the inbox: ${why}` })
      return false
    })
    const taken = fit.slice(0, Math.max(0, this.#room))
    for (const { announce, answer } of fit.slice(taken.length)) {
      answer(
        this.#earlier.onItsWay(announce) ??
          later(
            this.#waitsFor ??
              `${this.#queue.files} files are queued, at most ${this.#limits.queueFilesMax} may be`,
          ),
      )
    }
    const results = await claimFiles(
      taken.map(({ announce, cameAtMs, sealed }) => ({
        name: announce.name,
        sealed,
        provenance: announcedNow(announce, cameAtMs),
        usedAtMs: announce.usedAtMs,
        announced: {
          sha256: announce.sha256,
          sizeBytes: announce.sizeBytes,
          lines: announce.lines,
          amount: announce.amount === undefined ? undefined : BigInt(announce.amount),
        },
      })),
      this.#paths,
      this.#journal,
    )
    const entries = claimed(results)
    this.#take(entries)
    for (const [i, waiting] of taken.entries()) {
      const result = results[i]!
      if (result.kind === 'unsealed') this.#seal(waiting)
      else waiting.answer(this.#answerTo(waiting.announce, result))
    }
    // The acks first: somebody waits for them.
    await setImmediate()
    this.#tellOf(entries)
  }

  /** Its bytes are brought to the disk; then it waits for its claim again. */
  #seal(waiting: Waiting): void {
    const { announce, answer, cameAtMs, seals = 0 } = waiting
    const path = join(this.#paths.inbox, announce.name)
    const stats = this.#statsToSeal(path)
    if (typeof stats === 'string') {
      answer(this.#leave(announce.name, stats))
      return
    }
    const sealing =
      stats !== undefined && seals < SEALS_MAX
        ? this.#sealer.seal(path, identityOf(stats), true)
        : undefined
    if (sealing !== undefined) {
      this.#sealing += 1
      void sealing.then(seal => {
        this.#sealing -= 1
        this.#claimSealed({ announce, answer, cameAtMs, seals: seals + 1 }, seal)
      })
    } else if (stats === undefined) answer(this.#answerTo(announce, { kind: 'gone' }))
    else if (seals === SEALS_MAX) answer(later(`${announce.name} is still being written`))
    else answer(later('too many files wait to be synced'))
  }

  /** A text: why it cannot be looked at. */
  #statsToSeal(path: string): BigIntStats | undefined | string {
    try {
      return exactStatsOf(path)
    } catch (error) {
      return `it cannot be looked at (${systemReason(error)})`
    }
  }

  #claimSealed(waiting: Waiting, seal: Seal): void {
    const { announce, answer } = waiting
    if (this.#stopped) answer(later('the parser is stopping'))
    else if (seal.kind === 'failed') {
      answer(this.#leave(announce.name, `it cannot be synced: ${seal.why}`))
    } else {
      const gathered = seal.kind === 'again' ? waiting : { ...waiting, sealed: seal.identity }
      if (this.#sealed.push(gathered) === 1) setTimeout(() => this.#claimGathered(), GATHERED_MS)
      if (this.#sealing === 0) this.#claimGathered()
    }
  }

  #claimGathered(): void {
    this.#waiting.push(...this.#sealed.splice(0))
    this.#bell.ring()
  }

  /** One more piece of a look into the inbox. */
  async #lookOn(): Promise<void> {
    this.#pace.begin()
    const most = Math.min(this.#room, FOUND_PER_COMMIT_MAX)
    // Where there is no room, what was not looked at yet is looked at once there is.
    if (most <= 0) return this.#pace.end(0, true)
    await this.#adoptNowAndThen()
    const { found, isOver } = await this.#scanner.look(performance.now(), most)
    const results = await claimFiles(
      found.map(one => ({ ...one, announced: undefined })),
      this.#paths,
      this.#journal,
    )
    const entries = claimed(results)
    this.#take(entries)
    this.#tellOf(entries)
    for (const [i, { name }] of found.entries()) {
      const result = results[i]!
      if ('why' in result) this.#leave(name, result.why)
    }
    this.#pace.end(found.length, isOver)
  }

  async #adoptNowAndThen(): Promise<void> {
    if (performance.now() < this.#nextAdoptionMs) return
    this.#nextAdoptionMs = performance.now() + ADOPTION_INTERVAL_MS
    const adopted = await adoptWork(this.#paths, this.#journal, this.#adoptionLog, true)
    this.#take(adopted)
    this.#tellOf(adopted)
  }

  #take(entries: readonly QueueEntry[]): void {
    for (const entry of entries) {
      this.#queue.add(entry)
      this.#scanner.taken(entry.name)
    }
  }

  #tellOf(entries: readonly QueueEntry[]): void {
    for (const { name, sequence, sizeBytes, isPlain } of entries) {
      this.#events.emit('claimed', { name, sequence, sizeBytes, hasManifest: !isPlain })
    }
  }

  /** Not `later`, which would have the announcer hold back its other files too. */
  #leave(name: string, why: string): AnnounceResult {
    const awayBecause = this.#inboxAwayBecause()
    // Then no name in it is to blame.
    if (awayBecause !== undefined) return later(awayBecause)
    this.#scanner.leaveForNow(name, why, performance.now())
    return { outcome: 'refused', reason: `left in the inbox: ${why}` }
  }

  #inboxAwayBecause(): string | undefined {
    this.#scanner.checkDirectory()
    return this.#scanner.awayBecause
  }

  #answerTo(
    announce: Announce,
    result: Exclude<ClaimResult, { kind: 'unsealed' }>,
  ): AnnounceResult {
    switch (result.kind) {
      case 'claimed':
        return { outcome: this.#earlier.hint(announce.sha256), sequence: result.entry.sequence }
      case 'unfit':
      case 'stuck':
        return this.#leave(announce.name, result.why)
      case 'gone': {
        const earlier = this.#earlier.onItsWay(announce) ?? this.#earlier.settled(announce)
        if (earlier !== undefined) return earlier
        const awayBecause = this.#inboxAwayBecause()
        if (awayBecause !== undefined) return later(awayBecause)
        return {
          outcome: 'refused',
          reason: `no file ${announce.name} stands in the inbox, and its content was never seen`,
        }
      }
    }
  }
}

/**
 * How often work/ is looked through for files that no journal knows: a parser that was replaced may
 * have moved one there and then not been allowed to write it down.
 */
const ADOPTION_INTERVAL_MS = 30_000

/** Fewer than announcements: nobody waits for these, and somebody may for an ack meanwhile. */
const FOUND_PER_COMMIT_MAX = 64
/** How often it is looked whether there still is an inbox, however rarely it is looked through. */
const DIRECTORY_CHECK_MS = 1_000

/** What is synced meanwhile shares the commit of the claims. */
const GATHERED_MS = 25

/** An announced file that is written to while it is synced so often is to be announced later. */
const SEALS_MAX = 3

function later(reason: string): AnnounceResult {
  return { outcome: 'later', reason }
}

function claimed(results: readonly ClaimResult[]): QueueEntry[] {
  return results.flatMap(result => (result.kind === 'claimed' ? [result.entry] : []))
}
