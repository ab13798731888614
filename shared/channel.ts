import { connect, type Socket } from 'node:net'
import { CountersinkError, hasCode, toError } from './errors.ts'
import { decodePayload, encodeFrame, FrameSplitter } from './frames.ts'
import {
  DRAIN_TIMEOUT_MS,
  FRAME_TIMEOUT_MS,
  HELLO_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  REQUESTS_PER_CHANNEL_MAX,
  SEND_BUFFER_BYTES_MAX,
} from './limits.ts'
import {
  failure,
  type Hello,
  type Message,
  PROTOCOL_NAME,
  PROTOCOL_VERSION,
  parseMessage,
  type Role,
} from './protocol.ts'

/**
 * One connection between two processes, either side.
 *
 * - **greeting**: our hello is sent at once; the peer's must come within `HELLO_TIMEOUT_MS` and
 *   match protocol and version.
 * - **open**: messages flow. A reply settles the request of its id; everything else goes to
 *   `onMessage`, which must only enqueue.
 * - **closed**: by either side, by an offence of the peer (it is told the code first), or by us.
 *   Every waiting request is rejected; `onClose` is called once.
 *
 * Whatever the peer does, memory stays bounded: a frame is at most 64 KiB, an incomplete one has a
 * deadline from its first byte, and one that does not read is cut off with what it was owed.
 */
export interface ChannelHandlers {
  /** The peer's hello was good. */
  onOpen?(channel: Channel, hello: Hello): void
  onMessage?(message: Message, channel: Channel): void
  /** `error` is why; undefined after an orderly end by the peer or by `close()`. */
  onClose?(channel: Channel, error: Error | undefined): void
}

/** What a request looks like before the channel gives it an id. */
type Request = { readonly type: 'announce' | 'ping' | 'query' } & Record<string, unknown>
type Reply = Extract<Message, { type: 'ack' | 'pong' | 'answer' }>
const REPLY_TYPES: ReadonlySet<string> = new Set(['ack', 'pong', 'answer'])

interface Waiter {
  resolve(reply: Reply): void
  reject(error: Error): void
  readonly timer: NodeJS.Timeout
}

export class Channel {
  readonly #socket: Socket
  readonly #role: Role
  readonly #handlers: ChannelHandlers
  readonly #splitter = new FrameSplitter()
  readonly #waiters = new Map<number, Waiter>()
  #state: 'greeting' | 'open' | 'closed' = 'greeting'
  #nextId = 1
  #helloTimer: NodeJS.Timeout
  #frameTimer: NodeJS.Timeout | undefined
  #drainTimer: NodeJS.Timeout | undefined
  #error: Error | undefined

  constructor(socket: Socket, role: Role, handlers: ChannelHandlers) {
    this.#socket = socket
    this.#role = role
    this.#handlers = handlers
    this.#helloTimer = setTimeout(() => {
      this.destroy(
        new CountersinkError('FRAME_TOO_SLOW', `no hello came within ${HELLO_TIMEOUT_MS} ms`),
      )
    }, HELLO_TIMEOUT_MS)
    socket.on('data', chunk => this.#receive(chunk))
    socket.on('drain', () => {
      clearTimeout(this.#drainTimer)
      this.#drainTimer = undefined
    })
    socket.on('error', error => {
      this.#error ??= error
    })
    socket.on('close', () => this.#closed())
    this.#write({
      type: 'hello',
      protocol: PROTOCOL_NAME,
      version: PROTOCOL_VERSION,
      role: this.#role,
      pid: process.pid,
    })
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Sends without expecting a reply; to a closed channel it is nothing. */
  send(message: Message): void {
    if (this.#state === 'open') this.#write(message)
  }

  /**
   * Sends a request and waits for its reply.
   *
   * @throws CountersinkError CHANNEL_CLOSED, REQUEST_TIMEOUT, or TOO_MANY_REQUESTS unanswered.
   */
  request<T extends Reply['type']>(
    request: Request,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Extract<Reply, { type: T }>> {
    if (this.#state !== 'open') return Promise.reject(this.#closedError())
    if (this.#waiters.size >= REQUESTS_PER_CHANNEL_MAX) {
      return Promise.reject(
        new CountersinkError(
          'TOO_MANY_REQUESTS',
          `${this.#waiters.size} requests wait for a reply, at most ${REQUESTS_PER_CHANNEL_MAX} may`,
        ),
      )
    }
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(id)
        reject(
          new CountersinkError(
            'REQUEST_TIMEOUT',
            `no reply to ${request.type} came within ${timeoutMs} ms`,
          ),
        )
      }, timeoutMs)
      this.#waiters.set(id, {
        resolve: reply => resolve(reply as Extract<Reply, { type: T }>),
        reject,
        timer,
      })
      this.#write({ ...request, id })
    })
  }

  /** Ends in order: what was sent still goes out. */
  close(): void {
    if (this.#state === 'closed') return
    this.#socket.end()
    // A peer that does not end its side must not keep ours open.
    const timer = setTimeout(() => this.#socket.destroy(), DRAIN_TIMEOUT_MS)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  /** Ends at once. The peer is told why, if it still reads; `onClose` gets the error. */
  destroy(error: Error): void {
    if (this.#state === 'closed' || this.#error !== undefined) return
    this.#error = error
    const code = error instanceof CountersinkError ? error.code : 'IO_FAILED'
    this.#socket.end(encodeFrame(failure(code, error.message)), () => this.#socket.destroy())
    const timer = setTimeout(() => this.#socket.destroy(), 1_000)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
    this.#socket.pause()
  }

  #write(message: object): void {
    if (this.#error !== undefined || !this.#socket.writable) return
    let frame: Buffer
    try {
      frame = encodeFrame(message)
    } catch (error) {
      this.destroy(toError(error))
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
    this.#error = new CountersinkError('PEER_NOT_READING', `the peer does not read: ${why}`)
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    if (this.#error !== undefined) return
    try {
      for (const payload of this.#splitter.push(chunk)) {
        this.#dispatch(parseMessage(decodePayload(payload)))
        clearTimeout(this.#frameTimer)
        this.#frameTimer = undefined
        if (this.#error !== undefined) return
      }
    } catch (error) {
      this.destroy(toError(error))
      return
    }
    if (this.#splitter.insideFrame && this.#frameTimer === undefined) {
      this.#frameTimer = setTimeout(() => {
        this.destroy(
          new CountersinkError('FRAME_TOO_SLOW', `a frame took longer than ${FRAME_TIMEOUT_MS} ms`),
        )
      }, FRAME_TIMEOUT_MS)
    }
  }

  #dispatch(message: Message): void {
    if (message.type === 'error') {
      this.#error = new CountersinkError(
        'CHANNEL_CLOSED',
        `the peer ended the connection: ${message.code}: ${message.message}`,
      )
      this.#socket.destroy()
    } else if (this.#state === 'greeting') {
      this.#greet(message)
    } else if (REPLY_TYPES.has(message.type)) {
      this.#settle(message as Reply)
    } else if (message.type === 'hello') {
      throw new CountersinkError('MESSAGE_INVALID', 'a second hello came')
    } else {
      this.#handlers.onMessage?.(message, this)
    }
  }

  #greet(message: Message): void {
    if (message.type !== 'hello') {
      throw new CountersinkError(
        'PROTOCOL_MISMATCH',
        `a hello must come first, got ${message.type}`,
      )
    }
    if (message.protocol !== PROTOCOL_NAME || message.version !== PROTOCOL_VERSION) {
      throw new CountersinkError(
        'PROTOCOL_MISMATCH',
        `this side speaks ${PROTOCOL_NAME} ${PROTOCOL_VERSION}, ` +
          `the peer ${JSON.stringify(message.protocol)} ${message.version}`,
        { advice: 'Run the same version of countersink on both sides.' },
      )
    }
    clearTimeout(this.#helloTimer)
    this.#state = 'open'
    this.#handlers.onOpen?.(this, message)
  }

  #settle(reply: Reply): void {
    const waiter = this.#waiters.get(reply.id)
    if (waiter === undefined) {
      // An id never given out is an offence; one that timed out here is merely late.
      if (reply.id < this.#nextId) return
      throw new CountersinkError('MESSAGE_INVALID', `a reply came to request ${reply.id}, unasked`)
    }
    this.#waiters.delete(reply.id)
    clearTimeout(waiter.timer)
    waiter.resolve(reply)
  }

  #closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#helloTimer)
    clearTimeout(this.#frameTimer)
    clearTimeout(this.#drainTimer)
    for (const waiter of this.#waiters.values()) {
      clearTimeout(waiter.timer)
      waiter.reject(this.#closedError())
    }
    this.#waiters.clear()
    this.#handlers.onClose?.(this, this.#error)
  }

  #closedError(): CountersinkError {
    return new CountersinkError('CHANNEL_CLOSED', 'the connection is closed', {
      cause: this.#error,
    })
  }
}

/**
 * Connects and waits until both hellos are exchanged.
 *
 * @throws the socket's own error (ENOENT, ECONNREFUSED: nobody listens) or why the peer hung up.
 */
export function openChannel(
  path: string,
  role: Role,
  handlers: ChannelHandlers = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      new Channel(socket, role, {
        ...handlers,
        onOpen: (channel, hello) => {
          handlers.onOpen?.(channel, hello)
          resolve(channel)
        },
        onClose: (channel, error) => {
          handlers.onClose?.(channel, error)
          reject(
            error ?? new CountersinkError('CHANNEL_CLOSED', 'the peer hung up before its hello'),
          )
        },
      })
    })
  })
}

/** Asks one thing on a connection of its own: `undefined` when nobody listens there. */
export async function askOnce<T>(
  path: string,
  ask: (channel: Channel) => Promise<T>,
): Promise<T | undefined> {
  let channel: Channel
  try {
    channel = await openChannel(path, 'client')
  } catch (error) {
    // Nobody listens, or is just about to end.
    if (hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'CHANNEL_CLOSED')) return undefined
    throw error
  }
  try {
    return await ask(channel)
  } finally {
    channel.close()
  }
}
