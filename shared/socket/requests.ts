import { CountersinkError } from '../errors.ts'
import { REQUESTS_PER_CHANNEL_MAX } from '../limits.ts'
import { REPLY_TO, type Reply, type Request } from '../protocol.ts'

interface Waiting {
  readonly replyType: Reply['type']
  /** undefined: it waited too long, and its late reply is no offence. */
  asker: { resolve(reply: Reply): void; reject(error: Error): void } | undefined
  readonly timer: NodeJS.Timeout
}

/** Our requests on one channel that have had no reply, with a bound that counts late ones too. */
export class Requests {
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1

  /**
   * Gives the request an id.
   *
   * @throws CountersinkError TOO_MANY_REQUESTS; the reply REQUEST_TIMEOUT
   */
  add(type: Request['type'], timeoutMs: number): { id: number; reply: Promise<Reply> } {
    if (this.#waiting.size >= REQUESTS_PER_CHANNEL_MAX) {
      throw new CountersinkError(
        'TOO_MANY_REQUESTS',
        `${this.#waiting.size} requests have no reply, at most ${REQUESTS_PER_CHANNEL_MAX} may`,
      )
    }
    const id = this.#nextId
    this.#nextId += 1
    const reply = new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.get(id)!.asker = undefined
        reject(
          new CountersinkError(
            'REQUEST_TIMEOUT',
            `no reply to ${type} came within ${timeoutMs} ms`,
          ),
        )
      }, timeoutMs)
      this.#waiting.set(id, { replyType: REPLY_TO[type], asker: { resolve, reject }, timer })
    })
    return { id, reply }
  }

  /** false: nobody asked for this. */
  settle(reply: Reply): boolean {
    const waiting = this.#waiting.get(reply.id)
    if (waiting?.replyType !== reply.type) return false
    this.#waiting.delete(reply.id)
    clearTimeout(waiting.timer)
    waiting.asker?.resolve(reply)
    return true
  }

  rejectAll(error: Error): void {
    for (const { asker, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      asker?.reject(error)
    }
    this.#waiting.clear()
  }
}
