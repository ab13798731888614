import type { Channel } from '../shared/channel.ts'
import { ChannelServer } from '../shared/channel-server.ts'
import { describeError } from '../shared/errors.ts'
import type {
  Announce,
  AnswerTo,
  Message,
  ParserHealth,
  ProcessedFile,
  Query,
  Question,
} from '../shared/protocol.ts'
import { failure } from '../shared/protocol.ts'
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
  /** Who wants to hear about which claimed file, under which name it was announced. */
  readonly #subscribers = new Map<number, Map<Channel, string>>()
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

  async listen(path: string): Promise<void> {
    this.#server = await ChannelServer.listen(path, 'parser', {
      onMessage: (message, channel) => this.#receive(message, channel),
      onClose: channel => {
        for (const [sequence, channels] of this.#subscribers) {
          channels.delete(channel)
          if (channels.size === 0) this.#subscribers.delete(sequence)
        }
      },
    })
  }

  /** Tells the announcers of this claimed file. */
  settled(file: ProcessedFile, sequence: number): void {
    for (const [channel, name] of this.#subscribers.get(sequence) ?? []) {
      tell(channel, file, name)
    }
    this.#subscribers.delete(sequence)
  }

  async close(): Promise<void> {
    await this.#server?.close()
  }

  #receive(message: Message, channel: Channel): void {
    switch (message.type) {
      case 'announce':
        void this.#handleAnnounce(message, channel)
        break
      case 'ping':
        channel.send({ type: 'pong', id: message.id, health: this.#health() })
        break
      case 'query':
        void this.#handleQuery(message, channel)
        break
      default:
        channel.send(failure('MESSAGE_INVALID', `the parser does not take ${message.type}`))
        channel.close()
    }
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

  async #handleQuery({ id, question }: Query, channel: Channel): Promise<void> {
    try {
      const body = await this.#answer(question)
      if (channel.isOpen) channel.send({ type: 'answer', id, body })
    } catch (error) {
      // The asker hears why, and nobody else is concerned.
      if (channel.isOpen) channel.send(failure('QUESTION_FAILED', describeError(error)))
    }
  }

  #subscribe(sequence: number, channel: Channel, name: string): void {
    const channels = this.#subscribers.get(sequence) ?? new Map<Channel, string>()
    channels.set(channel, name)
    this.#subscribers.set(sequence, channels)
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
