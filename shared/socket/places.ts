/**
 * Who may stay connected to a server, so that peers which do nothing never lock others out.
 *
 * - A newcomer stands at the door until its hello has come. There are `GREETINGS_MAX` places there, and
 *   the oldest gives way to the next.
 * - Then it gets one of `CONNECTIONS_MAX` places. If all are taken, somebody gives way who waits for
 *   nothing: first who has never asked anything, then who has not for longest. If all wait for
 *   something, the newcomer is refused (`NO_PLACE`).
 * - One more place is kept for the supervisor, which is whoever names our parent process in its hello.
 *   Others can lie about that, so its holder gives way to the next who says so, unless it is just being
 *   answered: the true one asks and is answered, and never announces; the false one cannot keep it out.
 */

import { CountersinkError } from '../errors.ts'
import { CONNECTIONS_MAX, GREETINGS_MAX } from '../limits.ts'
import type { Hello } from '../protocol.ts'
import type { Channel } from './channel.ts'

export class Places {
  readonly #atTheDoor = new Set<Channel>()
  readonly #taken = new Set<Channel>()
  readonly #waitsForMore: (channel: Channel) => boolean
  #supervisor: Channel | undefined

  /** @param waitsForMore whether this peer waits for more than the replies to its requests. */
  constructor(waitsForMore: (channel: Channel) => boolean) {
    this.#waitsForMore = waitsForMore
  }

  arrived(channel: Channel): void {
    const [oldest] = this.#atTheDoor
    if (this.#atTheDoor.size >= GREETINGS_MAX && oldest !== undefined) this.#giveWay(oldest)
    this.#atTheDoor.add(channel)
  }

  /** @returns why there is no place for it, if so. */
  greeted(channel: Channel, { pid }: Hello): CountersinkError | undefined {
    this.#atTheDoor.delete(channel)
    if (this.#taken.size >= CONNECTIONS_MAX) {
      const idle = [...this.#taken].filter(one => this.#isIdle(one))
      const [longest] = idle.sort((a, b) => a.lastAskedMs - b.lastAskedMs)
      if (longest !== undefined) this.#giveWay(longest)
      else if (pid === process.ppid && !this.#supervisor?.isAsked) {
        this.#giveWay(this.#supervisor)
        this.#supervisor = channel
        return undefined
      } else {
        return new CountersinkError(
          'NO_PLACE',
          `all ${CONNECTIONS_MAX} places at this socket are taken by peers that wait for an answer`,
        )
      }
    }
    this.#taken.add(channel)
    return undefined
  }

  left(channel: Channel): void {
    this.#atTheDoor.delete(channel)
    this.#taken.delete(channel)
    if (this.#supervisor === channel) this.#supervisor = undefined
  }

  #isIdle(channel: Channel): boolean {
    return !(channel.isAsked || this.#waitsForMore(channel))
  }

  #giveWay(channel: Channel | undefined): void {
    if (channel === undefined) return
    this.left(channel)
    channel.giveWay(
      new CountersinkError('GAVE_WAY', 'all places were taken, and this peer was the longest idle'),
    )
  }
}
