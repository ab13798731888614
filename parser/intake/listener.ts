import type { Log } from '../../shared/log.ts'
import type {
  Announce,
  AnswerTo,
  Message,
  ParserHealth,
  ProcessedFile,
  Query,
  Question,
} from '../../shared/protocol.ts'
import { type Channel, ChannelServer, type ServerHandlers } from '../../shared/socket/index.ts'
import type { AnnounceResult } from './earlier-acks.ts'

/**
 * The parser's socket: hands announcements to the inbox, answers pings and questions, and tells
 * whoever announced a file what became of it. Nothing here waits for a disk; a question about a
 * content waits for the database, for a few seconds at most.
 */
export class Listener {
  readonly #announce: (announce: Announce) => Promise<AnnounceResult>
  readonly #health: () => ParserHealth
  readonly #answer: (question: Question) => Promise<AnswerTo<Question>>
  /** Who wants to hear about which claimed file, under which name it was announced … */
  readonly #subscribers = new Map<number, Map<Channel, string>>()
  /** … and the other way round. */
  readonly #awaited = new Map<Channel, Set<number>>()
  readonly #questions = new Set<Promise<void>>()
  #server: ChannelServer | undefined

  constructor(options: {
    announce: (announce: Announce) => Promise<AnnounceResult>
    health: () => ParserHealth
    answer: (question: Question) => Promise<AnswerTo<Question>>
  }) {
    this.#announce = options.announce
    this.#health = options.health
    this.#answer = options.answer
  }

  async listen(path: string, log: Log): Promise<void> {
    const handlers: ServerHandlers = {
      onMessage: (message, channel) => this.#receive(message, channel),
      waitsForMore: channel => this.#awaited.has(channel),
      onClose: channel => this.#unsubscribe(channel),
    }
    this.#server = await ChannelServer.listen(path, 'parser', handlers, log)
  }

  /** Tells the announcers of this claimed file. */
  settled(file: ProcessedFile, sequence: number): void {
    for (const [channel, name] of this.#subscribers.get(sequence) ?? []) {
      tell(channel, file, name)
      const awaited = this.#awaited.get(channel)
      awaited?.delete(sequence)
      if (awaited?.size === 0) this.#awaited.delete(channel)
    }
    this.#subscribers.delete(sequence)
  }

  /** Nobody is connected afterwards, and no question is looked into any more. */
  async close(): Promise<void> {
    await this.#server?.close()
    await Promise.all(this.#questions)
  }

  /** What a peer may say here at all is the channel's to know. */
  #receive(message: Message, channel: Channel): void | Promise<void> {
    switch (message.type) {
      case 'announce':
        void this.#handleAnnounce(message, channel)
        break
      case 'ping':
        channel.send({ type: 'pong', id: message.id, health: this.#health() })
        break
      case 'query':
        // One at a time: nothing more of this peer is read until it is answered.
        return this.#handleQuery(message, channel)
    }
  }

  async #handleQuery(query: Query, channel: Channel): Promise<void> {
    const asked = this.#ask(query, channel)
    this.#questions.add(asked)
    await asked
    this.#questions.delete(asked)
  }

  async #handleAnnounce(message: Announce, channel: Channel): Promise<void> {
    const { outcome, reason, sequence, settled } = await this.#announce(message)
    if (!channel.isOpen) return
    if (sequence !== undefined) this.#subscribe(sequence, channel, message.name)
    channel.send({
      type: 'ack',
      id: message.id,
      outcome,
      ...(reason === undefined ? {} : { reason: reason.slice(0, 300) }),
    })
    if (settled !== undefined) tell(channel, settled, message.name)
  }

  async #ask({ id, question }: Query, channel: Channel): Promise<void> {
    const body = await this.#answer(question)
    channel.send({ type: 'answer', id, body })
  }

  #subscribe(sequence: number, channel: Channel, name: string): void {
    const channels = this.#subscribers.get(sequence) ?? new Map<Channel, string>()
    channels.set(channel, name)
    this.#subscribers.set(sequence, channels)
    const awaited = this.#awaited.get(channel) ?? new Set<number>()
    awaited.add(sequence)
    this.#awaited.set(channel, awaited)
  }

  #unsubscribe(channel: Channel): void {
    for (const sequence of this.#awaited.get(channel) ?? []) {
      const channels = this.#subscribers.get(sequence)
      channels?.delete(channel)
      if (channels?.size === 0) this.#subscribers.delete(sequence)
    }
    this.#awaited.delete(channel)
  }
}

function tell(channel: Channel, file: ProcessedFile, name: string): void {
  channel.send({
    type: 'settled',
    name,
    sha256: file.sha256,
    outcome: file.outcome,
    ...(file.reason === undefined ? {} : { reason: file.reason }),
  })
}
