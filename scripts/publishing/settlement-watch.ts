import { hasCode } from '../../shared/errors.ts'
import type { Message, Outcome } from '../../shared/protocol.ts'
import { type Channel, isOfThePeer, openChannel } from '../../shared/socket/index.ts'
import { cannot } from '../terminal/index.ts'
import type { PublishedFile } from './publication.ts'

/** How long an outcome is waited for. */
export interface Patience {
  /** Of `performance.now()`. */
  readonly untilMs: number
  /** Whether somebody is there who will start a parser, or start it again. */
  isServiceAlive(): Promise<boolean>
  /** The parser is away, and waited for: told once an absence. */
  onAbsence(): void
}

/**
 * Announces files to the parser and hears what becomes of them. Should the parser go away in between,
 * or not be there yet, it is looked for again as long as somebody keeps it running, and the files are
 * announced again: their claims are durable.
 */
export class SettlementWatch {
  readonly #socketPath: string
  readonly #settled = new Map<string, Outcome>()
  /** Not known to be settled. */
  readonly #open = new Map<string, PublishedFile>()
  /** Of these, those that this channel's parser has not taken. */
  #unacknowledged = new Set<PublishedFile>()
  #channel: Channel | undefined
  #wake: (() => void) | undefined
  #aliveMs = performance.now() - GRACE_MS.afterLife + GRACE_MS.beforeIt
  #isAbsenceTold = false

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /** Why the parser could not be reached the last time that it was needed. */
  trouble: unknown

  /** Tells the parser; nothing is lost when it is down, or has no room now. */
  async announce(file: PublishedFile): Promise<void> {
    this.#open.set(file.name, file)
    this.#unacknowledged.add(file)
    if (await this.#connected()) await this.#send(file)
  }

  /** undefined when patience has ended, or nobody is there to wait for. */
  async outcomeOf(file: PublishedFile, patience: Patience): Promise<Outcome | undefined> {
    for (;;) {
      const outcome = this.#settled.get(file.name)
      if (outcome !== undefined) return outcome
      const leftMs = patience.untilMs - performance.now()
      if (leftMs <= 0) return undefined
      if (await this.#connected()) {
        this.#aliveMs = performance.now()
        this.#isAbsenceTold = false
        for (const one of this.#unacknowledged) await this.#send(one)
        const hasLater = this.#unacknowledged.size > 0
        if (this.#settled.has(file.name) || !this.#channel?.isOpen) continue
        await this.#pause(Math.min(leftMs, hasLater ? LATER_MS : LOOK_MS))
      } else {
        if (!(await this.#mayComeBack(patience))) return undefined
        if (!this.#isAbsenceTold) patience.onAbsence()
        this.#isAbsenceTold = true
        await this.#pause(Math.min(leftMs, RECONNECT_MS))
      }
    }
  }

  close(): void {
    this.#channel?.close()
  }

  async #connected(): Promise<boolean> {
    if (this.#channel?.isOpen) return true
    try {
      this.#channel = await openChannel(this.#socketPath, 'client', {
        onMessage: message => this.#receive(message),
        onClose: () => this.#wake?.(),
      })
      this.trouble = undefined
      this.#unacknowledged = new Set(this.#open.values())
      return true
    } catch (error) {
      if (!isOfThePeer(error)) throw error
      this.trouble = error
      return false
    }
  }

  async #mayComeBack(patience: Patience): Promise<boolean> {
    const nowMs = performance.now()
    if (Number.isFinite(patience.untilMs)) return true
    if (await patience.isServiceAlive()) this.#aliveMs = nowMs
    return nowMs - this.#aliveMs < GRACE_MS.afterLife
  }

  async #send(file: PublishedFile): Promise<void> {
    const { name, sizeBytes, sha256 } = file
    let ack: { outcome: string; reason?: string }
    try {
      ack = await this.#channel!.request<'ack'>({ type: 'announce', name, sizeBytes, sha256 })
    } catch (error) {
      if (!hasCode(error, 'CHANNEL_CLOSED', 'REQUEST_TIMEOUT')) throw error
      this.trouble = error
      return
    }
    if (ack.outcome === 'later') return
    this.#unacknowledged.delete(file)
    if (ack.outcome !== 'refused') return
    this.#open.delete(name)
    throw cannot(`the parser refuses ${name}: ${ack.reason ?? 'it does not say why'}`)
  }

  #receive(message: Message): void {
    if (message.type !== 'settled') return
    this.#settled.set(message.name, message.outcome)
    this.#open.delete(message.name)
    this.#wake?.()
  }

  /** Until something was heard, at most so long. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}

/** For a service that is stopped and started again; and for one that is just being started. */
const GRACE_MS = { afterLife: 20_000, beforeIt: 2_000 }
const RECONNECT_MS = 200
const LATER_MS = 500
/** A timer cannot wait for ever. */
const LOOK_MS = 60_000
