import { setTimeout as sleep } from 'node:timers/promises'
import { type Channel, isOfThePeer, openChannel } from '../shared/channel.ts'
import { hasCode } from '../shared/errors.ts'
import type { Message, Outcome } from '../shared/protocol.ts'
import { cannot } from './cli.ts'
import type { PublishedFile } from './publication.ts'

/**
 * Announces files to the parser and hears what becomes of them. Should the parser go away in
 * between, it is looked for again and the files are announced again: their claims are durable.
 */
export class SettlementWatch {
  readonly #socketPath: string
  readonly #settled = new Map<string, Outcome>()
  readonly #announced = new Map<string, PublishedFile>()
  #channel: Channel | undefined
  #wake: (() => void) | undefined

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /** Why the parser could not be reached the last time that it was needed. */
  trouble: unknown

  /** Tells the parser; nothing is lost when it is down. */
  async announce(file: PublishedFile): Promise<void> {
    this.#announced.set(file.name, file)
    if (await this.#connected()) await this.#send(file)
  }

  /** `queued` when the parser is not running. */
  async outcomeOf(file: PublishedFile): Promise<Outcome | 'queued'> {
    for (;;) {
      const outcome = this.#settled.get(file.name)
      if (outcome !== undefined) return outcome
      if (!this.#channel?.isOpen) {
        if (!(await this.#connectAgain())) return 'queued'
        for (const one of this.#announced.values()) {
          if (!this.#settled.has(one.name)) await this.#send(one)
        }
        continue
      }
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
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
      return true
    } catch (error) {
      if (!isOfThePeer(error)) throw error
      this.trouble = error
      return false
    }
  }

  /** A supervisor brings a dead parser back within a moment. */
  async #connectAgain(): Promise<boolean> {
    const wasConnected = this.#channel !== undefined
    for (let tries = 0; tries < (wasConnected ? RECONNECTS_MAX : 1); tries += 1) {
      if (await this.#connected()) return true
      await sleep(RECONNECT_MS)
    }
    return false
  }

  async #send(file: PublishedFile): Promise<void> {
    const { name, sizeBytes, sha256 } = file
    for (;;) {
      let ack: { outcome: string; reason?: string }
      try {
        ack = await this.#channel!.request<'ack'>({ type: 'announce', name, sizeBytes, sha256 })
      } catch (error) {
        if (!hasCode(error, 'CHANNEL_CLOSED', 'REQUEST_TIMEOUT')) throw error
        this.trouble = error
        return
      }
      if (ack.outcome === 'refused') {
        throw cannot(`the parser refuses ${name}: ${ack.reason ?? 'it does not say why'}`)
      }
      if (ack.outcome !== 'later') return
      await sleep(LATER_MS)
    }
  }

  #receive(message: Message): void {
    if (message.type !== 'settled') return
    this.#settled.set(message.name, message.outcome)
    this.#wake?.()
  }
}

const RECONNECT_MS = 200
const RECONNECTS_MAX = 100
const LATER_MS = 500
