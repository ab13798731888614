/**
 * One connection between two processes, either side.
 *
 * Its states are in `channel-states.ts`. Our hello is sent at once; the peer's must come within
 * `HELLO_TIMEOUT_MS` and match protocol and version. Then messages flow: a reply settles the request
 * of its id; what this role may say to ours goes to `onMessage`, which must only enqueue, or returns a
 * promise: then nothing more of this peer is read until it is settled. It ends by either side, by an
 * offence of the peer (it is told the code first), or by us; every waiting request is rejected, and
 * `onClose` is called once.
 *
 * Whatever the peer does, memory and time stay bounded: a frame is at most 64 KiB, an incomplete one
 * has a deadline from its first byte, anything that was not to be expected is an offence, one that has
 * many requests unanswered is read no further, and one that does not read is cut off with what it was
 * owed. What a handler throws is a fault of ours and ends the process: it is not caught here.
 */

import type { Socket } from 'node:net'
import { CountersinkError, hasCode, toError } from '../errors.ts'
import {
  DRAIN_TIMEOUT_MS,
  HELLO_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  REQUESTS_IN_HAND_MAX,
  SEND_BUFFER_BYTES_MAX,
} from '../limits.ts'
import {
  failure,
  type Hello,
  isReply,
  isRequest,
  type Message,
  PROTOCOL_NAME,
  PROTOCOL_VERSION,
  type Reply,
  type Request,
  type Role,
  unaskedMessages,
} from '../protocol.ts'
import { StateMachine } from '../state-table.ts'
import { CHANNEL_STATES, type ChannelEvent, type ChannelState } from './channel-states.ts'
import { encodeFrame } from './frames.ts'
import { MessageReader } from './message-reader.ts'
import { Requests } from './requests.ts'

export interface ChannelHandlers {
  /** The peer's hello was good. */
  onOpen?(channel: Channel, hello: Hello): void
  onMessage?(message: Message, channel: Channel): void | Promise<void>
  /** `error` is why; undefined after an orderly end by the peer or by `close()`. */
  onClose?(channel: Channel, error: Error | undefined): void
}

export class Channel {
  readonly #socket: Socket
  readonly #role: Role
  readonly #handlers: ChannelHandlers
  readonly #reader: MessageReader
  readonly #requests = new Requests()
  readonly #states = new StateMachine<ChannelState, ChannelEvent>(
    'the channel',
    CHANNEL_STATES,
    'greeting',
  )
  /** What the peer may say without being asked. */
  #unasked: readonly string[] = []
  #hasAnnounced = false
  #inHand = 0
  #lastAskedMs = 0
  #helloTimer: NodeJS.Timeout
  #drainTimer: NodeJS.Timeout | undefined
  /** Why it is broken. */
  #error: Error | undefined

  constructor(socket: Socket, role: Role, handlers: ChannelHandlers) {
    this.#socket = socket
    this.#role = role
    this.#handlers = handlers
    this.#helloTimer = setTimeout(() => {
      this.#cutOff(
        new CountersinkError('FRAME_TOO_SLOW', `no hello came within ${HELLO_TIMEOUT_MS} ms`),
      )
    }, HELLO_TIMEOUT_MS)
    this.#reader = new MessageReader(socket, {
      isOver: () => this.#isOver,
      isBusy: () => this.#inHand >= REQUESTS_IN_HAND_MAX,
      take: message => this.#take(message),
      offended: error => this.#cutOff(error),
    })
    socket.on('drain', () => {
      clearTimeout(this.#drainTimer)
      this.#drainTimer = undefined
    })
    socket.on('error', error => this.#breaks('socket failed', error))
    socket.on('close', () => {
      if (this.#happens('socket closed')) this.#closed()
    })
    this.#write({
      type: 'hello',
      protocol: PROTOCOL_NAME,
      version: PROTOCOL_VERSION,
      role: this.#role,
      pid: process.pid,
    })
  }

  get state(): ChannelState {
    return this.#states.state
  }

  get isOpen(): boolean {
    return this.state === 'open'
  }

  /** Whether the peer has requests that were not replied to. */
  get isAsked(): boolean {
    return this.#inHand > 0
  }

  /** When the peer last asked for something, by `performance.now()`; 0 if it never has. */
  get lastAskedMs(): number {
    return this.#lastAskedMs
  }

  get #isOver(): boolean {
    return this.state !== 'greeting' && this.state !== 'open'
  }

  /** Whether this led to another state. */
  #happens(event: ChannelEvent): boolean {
    const before = this.state
    return this.#states.on(event) !== before
  }

  /** Whether this is what broke it: the first reason is the one that is told. */
  #breaks(event: ChannelEvent, error: Error): boolean {
    const isFirst = this.#happens(event)
    if (isFirst) this.#error = error
    return isFirst
  }

  /** Sends without expecting a reply; to a closed channel it is nothing. */
  send(message: Message): void {
    if (!this.isOpen) return
    this.#write(message)
    if (!isReply(message)) return
    this.#inHand -= 1
    if (this.#inHand === REQUESTS_IN_HAND_MAX - 1) this.#reader.readOn()
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @throws CountersinkError CHANNEL_CLOSED, REQUEST_TIMEOUT, or TOO_MANY_REQUESTS unanswered.
   */
  async request<T extends Reply['type']>(
    request: Request,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Extract<Reply, { type: T }>> {
    if (!this.isOpen) throw this.#closedError()
    const { id, reply } = this.#requests.add(request.type, timeoutMs)
    if (request.type === 'announce') this.#hasAnnounced = true
    this.#write({ ...request, id })
    return (await reply) as Extract<Reply, { type: T }>
  }

  /** Ends in order: what was sent still goes out. */
  close(): void {
    if (!this.#happens('close asked')) return
    this.#socket.end()
    // The end of the peer's side is seen only if what it sent before is read, and thrown away.
    this.#socket.resume()
    this.#destroyAfter(DRAIN_TIMEOUT_MS)
  }

  /** Ends at once. The peer is told why, if it still reads; `onClose` gets the error. */
  #cutOff(error: Error): void {
    if (!this.#breaks('offended', error)) return
    this.#socket.end(encodeFrame(whyEnded(error)), () => this.#socket.destroy())
    this.#destroyAfter(1_000)
    this.#socket.pause()
  }

  /** The same for a peer that has done nothing wrong, without waiting for it: its place is needed. */
  giveWay(error: CountersinkError): void {
    if (!this.#breaks('place needed', error)) return
    if (this.#socket.writable) this.#socket.write(encodeFrame(whyEnded(error)))
    this.#socket.destroy()
  }

  #destroyAfter(ms: number): void {
    // A peer that does not end its side must not keep ours open.
    const timer = setTimeout(() => this.#socket.destroy(), ms)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  #write(message: object): void {
    if (!this.#socket.writable) return
    let frame: Buffer
    try {
      frame = encodeFrame(message)
    } catch (error) {
      if (!hasCode(error, 'FRAME_TOO_LARGE')) throw error
      this.#cutOff(toError(error))
      return
    }
    if (this.#socket.writableLength + frame.length > SEND_BUFFER_BYTES_MAX) {
      this.#notReading(`${this.#socket.writableLength} bytes wait for it`)
      return
    }
    if (!this.#socket.write(frame) && this.#drainTimer === undefined) {
      this.#drainTimer = setTimeout(
        () => this.#notReading(`it read nothing for ${DRAIN_TIMEOUT_MS} ms`),
        DRAIN_TIMEOUT_MS,
      )
    }
  }

  #notReading(why: string): void {
    const error = new CountersinkError('PEER_NOT_READING', `the peer does not read: ${why}`)
    this.#breaks('not reading', error)
    this.#socket.destroy()
  }

  #take(message: Message): void | Promise<void> {
    if (message.type === 'error') {
      const why = `the peer ended the connection: ${message.code}: ${message.message}`
      this.#breaks('told why', new CountersinkError('CHANNEL_CLOSED', why))
      this.#socket.destroy()
    } else if (this.state === 'greeting') {
      this.#greet(message)
    } else if (isReply(message)) {
      if (!this.#requests.settle(message)) this.#offence(`${message.type} ${message.id}, unasked`)
    } else if (!this.#unasked.includes(message.type)) {
      this.#offence(`${message.type}, which is not for this side`)
    } else if (message.type === 'settled' && !this.#hasAnnounced) {
      this.#offence('settled, where nothing was announced')
    } else {
      if (isRequest(message)) {
        this.#inHand += 1
        this.#lastAskedMs = performance.now()
      }
      return this.#handlers.onMessage?.(message, this)
    }
  }

  #offence(what: string): void {
    this.#cutOff(new CountersinkError('MESSAGE_INVALID', `the peer sent ${what}`))
  }

  #greet(message: Message): void {
    const mismatch = this.#mismatch(message)
    if (mismatch !== undefined || message.type !== 'hello') {
      const advice = 'Run the same version of countersink on both sides.'
      this.#cutOff(new CountersinkError('PROTOCOL_MISMATCH', mismatch ?? '', { advice }))
      return
    }
    clearTimeout(this.#helloTimer)
    this.#states.on('greeted')
    this.#handlers.onOpen?.(this, message)
  }

  #mismatch(message: Message): string | undefined {
    if (message.type !== 'hello') return `a hello must come first, got ${message.type}`
    if (message.protocol !== PROTOCOL_NAME || message.version !== PROTOCOL_VERSION) {
      return (
        `this side speaks ${PROTOCOL_NAME} ${PROTOCOL_VERSION}, ` +
        `the peer ${JSON.stringify(message.protocol)} ${message.version}`
      )
    }
    const unasked = unaskedMessages(message.role, this.#role)
    if (unasked === undefined) return `a ${message.role} has no business with a ${this.#role}`
    this.#unasked = unasked
    return undefined
  }

  #closed(): void {
    this.#reader.end()
    clearTimeout(this.#helloTimer)
    clearTimeout(this.#drainTimer)
    this.#requests.rejectAll(this.#closedError())
    this.#handlers.onClose?.(this, this.#error)
  }

  #closedError(): CountersinkError {
    return new CountersinkError('CHANNEL_CLOSED', 'the connection is closed', {
      cause: this.#error,
    })
  }
}

function whyEnded(error: Error): Message {
  return failure(error instanceof CountersinkError ? error.code : 'IO_FAILED', error.message)
}
