import { setImmediate } from 'node:timers/promises'
import { Bell } from '../shared/handoff.ts'
import { ANNOUNCEMENTS_WAITING_MAX, CLAIMS_PER_COMMIT_MAX } from '../shared/limits.ts'
import type { Log } from '../shared/log.ts'
import { classifyName, type StatePaths } from '../shared/paths.ts'
import type { AckOutcome, Announce, ProcessedFile } from '../shared/protocol.ts'
import type { Backlog } from './backlog.ts'
import { adoptWork, type ClaimResult, claimFiles } from './claim.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { Journal } from './journal/journal.ts'
import type { QueueEntry } from './journal/records.ts'
import type { InboxScanner } from './scan.ts'

/** What an announcer is told, and what else is known. */
export interface AnnounceResult {
  readonly outcome: AckOutcome
  readonly reason?: string
  /** The claimed file: the announcer hears when it is settled. */
  readonly sequence?: number
  /** It was settled before: the announcer hears at once. */
  readonly settled?: ProcessedFile
}

interface Waiting {
  readonly announce: Announce
  readonly answer: (result: AnnounceResult) => void
}

/**
 * The way in: one loop that claims what was announced and what a look into the inbox finds.
 *
 * Announcements and the timer only ring the bell; the loop takes what waits, moves it, commits
 * once, then answers all (so many announcements share one commit, and a lost one is found by the
 * next look). An ack is given only after the commit.
 */
export class Inbox {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #backlog: Backlog
  readonly #scanner: InboxScanner
  readonly #scanIntervalMs: number
  readonly #queueFilesMax: number
  readonly #disk: DiskWatch
  readonly #onClaimed: () => void
  readonly #log: Log
  readonly #bell = new Bell()
  #waiting: Waiting[] = []
  #stopped = false
  #nextAdoptionMs = 0

  constructor(options: {
    paths: StatePaths
    journal: Journal
    backlog: Backlog
    scanner: InboxScanner
    scanIntervalMs: number
    queueFilesMax: number
    disk: DiskWatch
    /** New entries are in the journal. */
    onClaimed: () => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#backlog = options.backlog
    this.#scanner = options.scanner
    this.#scanIntervalMs = options.scanIntervalMs
    this.#queueFilesMax = options.queueFilesMax
    this.#disk = options.disk
    this.#onClaimed = options.onClaimed
    this.#log = options.log
  }

  /** Resolves after the durable claim, or with the reason why there is none. */
  announce(announce: Announce): Promise<AnnounceResult> {
    if (this.#stopped) return Promise.resolve(later('the parser is stopping'))
    if (this.#waiting.length >= ANNOUNCEMENTS_WAITING_MAX) {
      return Promise.resolve(later(`${this.#waiting.length} announcements wait already`))
    }
    return new Promise(answer => {
      this.#waiting.push({ announce, answer })
      this.#bell.ring()
    })
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    let nextLookMs = 0
    try {
      while (!signal.aborted) {
        const announced = this.#waiting.splice(0, CLAIMS_PER_COMMIT_MAX)
        if (announced.length > 0) await this.#claimAnnounced(announced)
        if (performance.now() >= nextLookMs) {
          const more = await this.#claimFound()
          nextLookMs = more ? 0 : performance.now() + this.#scanIntervalMs
        }
        if (this.#waiting.length === 0 && nextLookMs > 0) {
          await this.#bell.wait(signal, Math.max(0, nextLookMs - performance.now()))
        }
      }
    } finally {
      this.#stopped = true
      for (const { answer } of this.#waiting.splice(0)) answer(later('the parser is stopping'))
    }
  }

  get #room(): number {
    return this.#disk.reason === undefined ? this.#queueFilesMax - this.#backlog.files : 0
  }

  async #claimAnnounced(announced: readonly Waiting[]): Promise<void> {
    const fit = announced.filter(({ announce, answer }) => {
      if (classifyName(announce.name) === 'data') return true
      answer({
        outcome: 'refused',
        reason: `${JSON.stringify(announce.name.slice(0, 100))} cannot be a name in the inbox: a plain name of at most 200 bytes is, no path, not hidden, not .tmp/.part/.partial`,
      })
      return false
    })
    const taken = fit.slice(0, Math.max(0, this.#room))
    for (const { announce, answer } of fit.slice(taken.length)) {
      answer(
        this.#onItsWay(announce) ??
          later(
            this.#disk.reason ??
              `${this.#backlog.files} files are queued, at most ${this.#queueFilesMax} may be`,
          ),
      )
    }
    const results = await claimFiles(
      taken.map(({ announce }) => ({
        name: announce.name,
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
    for (const [i, { announce, answer }] of taken.entries()) {
      answer(this.#answerTo(announce, results[i]!))
    }
    // The acks first: somebody waits for them.
    await setImmediate()
    this.#logClaims(entries)
  }

  /** Whether there may be more to take at once. */
  async #claimFound(): Promise<boolean> {
    if (this.#room <= 0) return false
    if (performance.now() >= this.#nextAdoptionMs) {
      this.#nextAdoptionMs = performance.now() + ADOPTION_INTERVAL_MS
      const adopted = await adoptWork(this.#paths, this.#journal, this.#log)
      this.#take(adopted)
      this.#logClaims(adopted)
    }
    const names = (await this.#scanner.look(performance.now())).slice(0, this.#room)
    const results = await claimFiles(
      names.map(name => ({ name, announced: undefined })),
      this.#paths,
      this.#journal,
    )
    const entries = claimed(results)
    this.#take(entries)
    this.#logClaims(entries)
    return names.length === CLAIMS_PER_COMMIT_MAX
  }

  #take(entries: readonly QueueEntry[]): void {
    for (const entry of entries) this.#backlog.add(entry)
    if (entries.length > 0) this.#onClaimed()
  }

  #logClaims(entries: readonly QueueEntry[]): void {
    for (const { name, sequence, sizeBytes, expected } of entries) {
      this.#log.info('claimed', {
        name,
        sequence,
        size: sizeBytes,
        manifest: expected !== undefined,
      })
    }
  }

  /** The ack of a file that was claimed before, by an announcement or a look. */
  #onItsWay({ name, sha256 }: Announce): AnnounceResult | undefined {
    const sequence = this.#backlog.find(name, sha256)
    return sequence === undefined ? undefined : { outcome: this.#hint(sha256), sequence }
  }

  #hint(sha256: string): 'known' | 'accepted' {
    const applied = this.#journal.content(Buffer.from(sha256, 'hex'))?.applied ?? 0
    return applied > 0 ? 'known' : 'accepted'
  }

  #answerTo(announce: Announce, result: ClaimResult): AnnounceResult {
    switch (result.kind) {
      case 'claimed':
        return { outcome: this.#hint(announce.sha256), sequence: result.entry.sequence }
      case 'unfit':
        return { outcome: 'refused', reason: result.why }
      case 'gone': {
        const onItsWay = this.#onItsWay(announce)
        if (onItsWay !== undefined) return onItsWay
        const content = this.#journal.content(Buffer.from(announce.sha256, 'hex'))
        const last = this.#journal.processed(content?.last ?? 0)
        const settled =
          last?.name === announce.name
            ? last
            : (this.#journal.processed(content?.applied ?? 0) ?? last)
        if (settled !== undefined) return { outcome: 'known', settled }
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

function later(reason: string): AnnounceResult {
  return { outcome: 'later', reason }
}

function claimed(results: readonly ClaimResult[]): QueueEntry[] {
  return results.flatMap(result => (result.kind === 'claimed' ? [result.entry] : []))
}
