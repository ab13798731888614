import type { Socket } from 'node:net'
import { CountersinkError } from '../errors.ts'
import { FRAME_TIMEOUT_MS, MESSAGES_PER_TURN } from '../limits.ts'
import { type Message, parseMessage } from '../protocol.ts'
import { decodePayload, FrameSplitter } from './frames.ts'

/**
 * Reads the messages of one peer, a few at a time, so that others get their turn between. While some
 * of what came has not been looked at, nothing more is read from the socket: what a peer sends faster
 * than it is taken waits in its own process.
 */
export class MessageReader {
  readonly #socket: Socket
  readonly #owner: ReaderOwner
  readonly #splitter = new FrameSplitter()
  /** What has come and was not looked at yet. */
  #frames: Iterator<Buffer> | undefined
  #isHeld = false
  #frameTimer: NodeJS.Timeout | undefined

  constructor(socket: Socket, owner: ReaderOwner) {
    this.#socket = socket
    this.#owner = owner
    socket.on('data', chunk => {
      if (owner.isOver()) return
      this.#frames = this.#splitter.push(chunk)
      this.#read()
    })
  }

  /** The owner is not busy any more, or another turn has come. */
  readOn(): void {
    if (this.#frames === undefined) return
    this.#socket.pause()
    setImmediate(() => {
      if (this.#frames !== undefined) this.#read()
    })
  }

  end(): void {
    this.#frames = undefined
    clearTimeout(this.#frameTimer)
  }

  #read(): void {
    for (let taken = 0; !this.#owner.isOver(); taken += 1) {
      if (this.#isHeld || this.#owner.isBusy()) {
        this.#socket.pause()
        return
      }
      if (taken === MESSAGES_PER_TURN) {
        this.readOn()
        return
      }
      const message = this.#next()
      if (message === undefined) break
      const untilTaken = this.#owner.take(message)
      if (untilTaken !== undefined) this.#hold(untilTaken)
    }
    if (this.#owner.isOver()) return
    this.#frames = undefined
    this.#socket.resume()
    if (this.#splitter.insideFrame && this.#frameTimer === undefined) {
      this.#frameTimer = setTimeout(() => {
        this.#owner.offended(
          new CountersinkError('FRAME_TOO_SLOW', `a frame took longer than ${FRAME_TIMEOUT_MS} ms`),
        )
      }, FRAME_TIMEOUT_MS)
    }
  }

  #hold(untilTaken: Promise<void>): void {
    this.#isHeld = true
    // A rejection is a fault of ours: nobody catches it, and it ends the process.
    void untilTaken.then(() => {
      this.#isHeld = false
      this.readOn()
    })
  }

  /** undefined: no more is complete, or what came is an offence. */
  #next(): Message | undefined {
    try {
      const next = this.#frames?.next()
      if (next === undefined || next.done) return undefined
      clearTimeout(this.#frameTimer)
      this.#frameTimer = undefined
      return parseMessage(decodePayload(next.value))
    } catch (error) {
      if (!(error instanceof CountersinkError)) throw error
      this.#owner.offended(error)
      return undefined
    }
  }
}

/** The channel, as far as its reader must know it. */
export interface ReaderOwner {
  /** Nothing that comes is looked at any more. */
  isOver(): boolean
  /** Nothing more is to be taken until `readOn`. */
  isBusy(): boolean
  /** With a promise, nothing more is taken until it is fulfilled. */
  take(message: Message): void | Promise<void>
  /** Of what came; nothing after it is taken. */
  offended(error: CountersinkError): void
}
