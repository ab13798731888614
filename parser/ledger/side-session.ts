import type { Session } from './connection.ts'
import type { Hosts } from './hosts.ts'
import { databaseUnavailable } from './sql-errors.ts'

/**
 * A second connection for questions of people, so that they do not wait behind a batch: made when one
 * comes, closed when none has come for a while, one question at a time. A question that is not
 * answered in time fails, and so do those behind it that cannot be.
 */
export class SideSession {
  readonly #hosts: Hosts
  readonly #inspect: (session: Session) => Promise<void>
  #session: Session | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closing: NodeJS.Timeout | undefined

  /** @param inspect looks at each new session before it is asked; throws what is wrong with it. */
  constructor(hosts: Hosts, inspect: (session: Session) => Promise<void>) {
    this.#hosts = hosts
    this.#inspect = inspect
  }

  /** @throws what the database answers; CountersinkError DATABASE_UNAVAILABLE when it does not. */
  async ask<T>(question: (session: Session) => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX) throw databaseUnavailable('too many questions wait already')
    this.#waiting += 1
    const answer = this.#last.then(() => this.#askInTime(question))
    this.#last = answer.catch(() => {
      // Its asker hears of it.
    })
    try {
      return await answer
    } finally {
      this.#waiting -= 1
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#closing)
    await this.#last
    await this.#session?.close()
    this.#session = undefined
  }

  async #askInTime<T>(question: (session: Session) => Promise<T>): Promise<T> {
    clearTimeout(this.#closing)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#session?.destroy()
    }, ANSWER_MS_MAX)
    try {
      if (this.#session?.isUsable !== true) {
        this.#session = undefined
        this.#session = await this.#hosts.open(async session => {
          // For the timer: it may be this that is not answered.
          this.#session = session
          await this.#inspect(session)
        })
      }
      return await question(this.#session)
    } catch (error) {
      this.#session?.destroy()
      this.#session = undefined
      throw isLate ? databaseUnavailable('MariaDB does not answer') : error
    } finally {
      clearTimeout(timer)
      this.#closing = setTimeout(() => {
        this.#session?.destroy()
        this.#session = undefined
      }, IDLE_MS).unref()
    }
  }
}

const WAITING_MAX = 32
const ANSWER_MS_MAX = 4_000
const IDLE_MS = 10_000
