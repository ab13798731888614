/**
 * Tells the parser about published files, and keeps those that are not settled yet.
 *
 * Each file is
 * - **due**: since it was published, or since the connection came up: whatever the parser was told
 *   on another connection, it is told again (it answers a repetition like the first time). Leads to
 *   asked as soon as there is a connection with less than `WINDOW` unanswered announcements.
 * - **asked**: until the ack. `accepted` and `known` lead to accepted. `later`, or no answer in
 *   time, leads back to due, and nothing is announced for a while. `refused` ends it: the file stays
 *   where it is, for a person to look at, and is ours to wait for no more.
 * - **accepted**: the parser has claimed it; `settled` ends it.
 *
 * `settled` ends a file in any phase. When the connection ends, all become due. The caller bounds
 * how many there are.
 */

import { crashPoint } from '../../shared/crash-points.ts'
import { CountersinkError, describeError, hasCode } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { Publication } from '../../shared/manifest.ts'
import type { Ack, Message, Settled } from '../../shared/protocol.ts'
import { type Channel, openChannel } from '../../shared/socket/index.ts'
import type { GeneratedFile } from '../state-shape.ts'

/** Time and chance, for tests to take into their hands. */
export interface Timing {
  /** Uniform over [0, 1). */
  random(): number
  /** Runs something after `ms`; the result cancels it. */
  after(ms: number, run: () => void): () => void
}

export interface AnnouncerOptions {
  /** Where the parser listens. */
  readonly path: string
  readonly log: Log
  /** A file was settled or refused, or the connection came or went. */
  onChange(): void
  readonly timing?: Timing
}

/** Announcements sent and not yet answered. */
export const WINDOW = 64
export const RECONNECT_MIN_MS = 50
export const RECONNECT_MAX_MS = 2_000
/** How long to leave a parser alone that is too busy, or did not answer. */
export const LATER_MS = 1_000

/** What the manifest says too; after a restart it alone knows when that was, and as which publication. */
export type PublishedFile = GeneratedFile & Partial<Publication>

type Phase = 'due' | 'asked' | 'accepted'
interface Entry {
  readonly file: PublishedFile
  phase: Phase
}

export class Announcer {
  readonly #path: string
  readonly #log: Log
  readonly #onChange: () => void
  readonly #timing: Timing
  readonly #entries = new Map<string, Entry>()
  /** Those in phase due, in the order they go. */
  #due = new Set<Entry>()
  #asked = 0
  #bytes = 0
  #channel: Channel | undefined
  #attempts = 0
  #trouble: string | undefined
  #cancelReconnect: (() => void) | undefined
  #cancelPause: (() => void) | undefined
  #stopped = false

  constructor({ path, log, onChange, timing = realTiming }: AnnouncerOptions) {
    this.#path = path
    this.#log = log
    this.#onChange = onChange
    this.#timing = timing
  }

  /** Unsettled files. */
  get files(): number {
    return this.#entries.size
  }

  /** Their bytes. */
  get bytes(): number {
    return this.#bytes
  }

  get connected(): boolean {
    return this.#channel !== undefined
  }

  /** Begins to look for the parser, and never gives up. */
  start(): void {
    this.#connect()
  }

  /** Announces the file now or as soon as possible. */
  announce(file: PublishedFile): void {
    if (this.#entries.has(file.name)) return
    const entry: Entry = { file, phase: 'due' }
    this.#entries.set(file.name, entry)
    this.#bytes += file.sizeBytes
    this.#due.add(entry)
    this.#pump()
  }

  /** Ends the connection. What is unsettled stays so. */
  stop(): void {
    this.#stopped = true
    this.#cancelReconnect?.()
    this.#cancelPause?.()
    this.#channel?.close()
  }

  #connect(): void {
    openChannel(this.#path, 'generator', {
      onOpen: channel => this.#opened(channel),
      onMessage: message => this.#receive(message),
      onClose: (channel, error) => {
        if (channel === this.#channel) this.#lost(error)
      },
    }).catch((error: unknown) => this.#reconnectLater(error))
  }

  #opened(channel: Channel): void {
    if (this.#stopped) {
      channel.close()
      return
    }
    this.#channel = channel
    this.#trouble = undefined
    this.#log.info('connected to the parser', { unsettled: this.#entries.size })
    this.#pump()
    this.#onChange()
  }

  #lost(error: Error | undefined): void {
    this.#channel = undefined
    this.#asked = 0
    this.#cancelPause?.()
    this.#cancelPause = undefined
    for (const entry of this.#entries.values()) entry.phase = 'due'
    this.#due = new Set(this.#entries.values())
    this.#onChange()
    this.#reconnectLater(error ?? new Error('the parser closed the connection'))
  }

  #reconnectLater(error: unknown): void {
    if (this.#stopped) return
    const trouble = describeError(error)
    if (trouble !== this.#trouble) {
      this.#trouble = trouble
      // Nobody listening is the usual state of things while the parser starts.
      const absent = hasCode(error, 'ENOENT', 'ECONNREFUSED')
      this.#log[absent ? 'info' : 'warn']('not connected to the parser', { because: trouble })
    }
    const longest = Math.min(RECONNECT_MAX_MS, RECONNECT_MIN_MS * 2 ** this.#attempts)
    this.#attempts = Math.min(this.#attempts + 1, 16)
    this.#cancelReconnect = this.#timing.after(this.#jittered(longest), () => this.#connect())
  }

  /** Asks for as much as the window allows. */
  #pump(): void {
    const channel = this.#channel
    if (channel === undefined || this.#cancelPause !== undefined) return
    for (const entry of this.#due) {
      if (this.#asked >= WINDOW) return
      this.#due.delete(entry)
      entry.phase = 'asked'
      this.#asked += 1
      void this.#ask(channel, entry)
    }
  }

  async #ask(channel: Channel, entry: Entry): Promise<void> {
    const { name, sizeBytes, sha256, lines, amount, origin, publishedAtMs, usedAtMs } = entry.file
    let ack: Ack | undefined
    try {
      const asked = channel.request<'ack'>({
        type: 'announce',
        name,
        sizeBytes,
        sha256,
        lines,
        amount: amount.toString(),
        ...(origin === undefined ? {} : { origin }),
        ...(publishedAtMs === undefined ? {} : { publishedAtMs }),
        ...(usedAtMs === undefined ? {} : { usedAtMs }),
      })
      crashPoint('G3-announced')
      ack = await asked
    } catch (error) {
      if (!(error instanceof CountersinkError)) throw error
      // The connection ended, and all are due again; or no answer came in time.
      if (channel !== this.#channel) return
      this.#log.warn('an announcement got no answer', {
        ...{ name, sha256, because: describeError(error) },
      })
    }
    if (channel !== this.#channel) return
    this.#asked -= 1
    // Its `settled` may have come in the same breath as the ack.
    if (this.#entries.get(name) === entry) this.#acknowledged(entry, ack)
    this.#pump()
  }

  #acknowledged(entry: Entry, ack: Ack | undefined): void {
    if (ack !== undefined) this.#attempts = 0
    switch (ack?.outcome) {
      case 'accepted':
      case 'known':
        entry.phase = 'accepted'
        return
      case 'refused':
        this.#log.warn('the parser refused a file, which is left in the inbox', {
          ...{ name: entry.file.name, sha256: entry.file.sha256 },
          ...{ code: 'REFUSED', reason: ack.reason },
        })
        this.#remove(entry)
        return
      case 'later':
      case undefined:
        entry.phase = 'due'
        this.#due.add(entry)
        this.#cancelPause ??= this.#timing.after(this.#jittered(LATER_MS), () => {
          this.#cancelPause = undefined
          this.#pump()
        })
    }
  }

  #receive(message: Message): void {
    if (message.type === 'settled') this.#settled(message)
  }

  #settled({ name, outcome, sha256, reason }: Settled): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    if (outcome !== 'applied') {
      this.#log.warn(`a generated file was settled as ${outcome}`, { name, sha256, reason })
    }
    this.#remove(entry)
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.file.name)
    this.#due.delete(entry)
    this.#bytes -= entry.file.sizeBytes
    this.#onChange()
  }

  /** Half of it for certain, the other half by chance. */
  #jittered(ms: number): number {
    return ms * (0.5 + this.#timing.random() / 2)
  }
}

const realTiming: Timing = {
  random: Math.random,
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
