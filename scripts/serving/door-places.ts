/**
 * Who may hold a connection. All places can be taken by who never asks anything, as a stranger without a password
 * can: so a newcomer always gets one, and it goes away who has asked nothing for longest, or takes no answer.
 *
 * Of one connection a few requests are under way at a time. What a client has sent at once is there before the
 * first of it is answered, and each request takes some kilobytes: 100,000 of them are a gigabyte.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

const CONNECTIONS_MAX = 256
/** Neither browsers nor Prometheus send a second one before the first is answered. */
const UNDER_WAY_MAX = 4

export class DoorPlaces {
  readonly #placesMax: number
  /** Whoever has not had an answer for longest comes first. */
  readonly #underWay = new Map<Socket, Set<ServerResponse>>()

  constructor(placesMax = CONNECTIONS_MAX) {
    this.#placesMax = placesMax
  }

  enter(socket: Socket): void {
    if (this.#underWay.size >= this.#placesMax) {
      const leaving = this.#dispensable() ?? socket
      this.#underWay.delete(leaving)
      leaving.destroy()
      if (leaving === socket) return
    }
    this.#underWay.set(socket, new Set())
    socket.once('close', () => this.#underWay.delete(socket))
  }

  /** Whether this request is to be answered; who has sent too many loses the connection. */
  isTaken({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const responses = this.#underWay.get(socket)
    if (responses === undefined) return false
    if (responses.size >= UNDER_WAY_MAX) {
      this.#underWay.delete(socket)
      socket.destroy()
      return false
    }
    responses.add(response)
    response.once('close', () => {
      responses.delete(response)
      if (this.#underWay.delete(socket)) this.#underWay.set(socket, responses)
    })
    return true
  }

  #dispensable(): Socket | undefined {
    let slow: Socket | undefined
    for (const [socket, responses] of this.#underWay) {
      if (responses.size === 0) return socket
      if ([...responses].every(response => response.writableEnded)) slow ??= socket
    }
    return slow
  }
}
