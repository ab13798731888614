/**
 * One of the digest's threads, seen from the main thread: a `JobThread` whose job can be given up, and
 * held back at its checkpoints, through two shared words (`ControlWords`).
 */

import assert from 'node:assert/strict'
import type { TransferListItem } from 'node:worker_threads'
import { CountersinkError } from '../../shared/errors.ts'
import { type Ending, JobThread } from '../../shared/job-thread.ts'
import {
  CONTROL_CANCELLED,
  CONTROL_CHECKPOINTS,
  CONTROL_WORDS,
  type ControlWords,
  type JobMessage,
  type WorkerMessage,
} from './worker-messages.ts'

/** A job ended because it was given up. Not a failure: whoever gave it up knows why. */
export class JobCancelled extends Error {}

/** What is heard of a job before it has ended. */
export interface JobListener<E> {
  onPosition(positionBytes: number): void
  onEvent(event: E): void
}

export class WorkerThread<J extends object, E, R> {
  readonly #name: string
  readonly #thread: JobThread<JobMessage<J>, WorkerMessage<E, R>, R>
  /** Of the job under way, or of the last one, which looks at it no more. */
  #control: ControlWords | undefined
  #closed = false

  /** `name` is for messages and for whoever looks at the process's threads. */
  constructor(url: URL, name: string) {
    this.#name = name
    this.#thread = new JobThread({
      ...{ url, name: `digest-${name}` },
      onDeath: fault => {
        if (this.#closed) return new JobCancelled()
        const message = `the ${name} thread died while reading a file`
        return new CountersinkError('IO_FAILED', message, { cause: fault })
      },
    })
  }

  /**
   * Does one job, to which what is in `transfer` moves. Settles only once the thread has let go of the job's descriptor.
   * Rejects with `JobCancelled`, IO_FAILED if the thread died, or with the thread's own error.
   */
  run(job: J, listener: JobListener<E>, transfer: readonly TransferListItem[] = []): Promise<R> {
    assert(!this.#closed, `the ${this.#name} thread is closed`)
    const control = new Int32Array(
      new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT),
    )
    this.#control = control
    return this.#thread.run(
      { job, control },
      (message, ending) => hear(message, listener, ending),
      transfer,
    )
  }

  /** Gives up the running job, if there is one: it ends within one read. */
  cancel(): void {
    if (this.#control !== undefined) Atomics.store(this.#control, CONTROL_CANCELLED, 1)
  }

  /** Lets the running job, if there is one, go on past so many checkpoints and a few more. */
  settleCheckpoints(count: number): void {
    if (this.#control === undefined) return
    Atomics.store(this.#control, CONTROL_CHECKPOINTS, count)
    Atomics.notify(this.#control, CONTROL_CHECKPOINTS)
  }

  /** Ends the thread. A running job is cancelled. */
  async close(): Promise<void> {
    this.#closed = true
    this.cancel()
    await this.#thread.close()
  }
}

function hear<E, R>(
  message: WorkerMessage<E, R>,
  listener: JobListener<E>,
  ending: Ending<R>,
): void {
  switch (message.kind) {
    case 'progress':
      listener.onPosition(message.positionBytes)
      return
    case 'event':
      listener.onEvent(message.event)
      return
    case 'done':
      ending.resolve(message.result)
      return
    case 'cancelled':
      ending.reject(new JobCancelled())
      return
    case 'failed': {
      const { code, advice, errno } = message
      const cause = Object.assign(new Error(message.message), { code: errno })
      ending.reject(
        new CountersinkError(code, message.message, {
          ...(advice === undefined ? {} : { advice }),
          ...(errno === undefined ? {} : { cause }),
        }),
      )
      return
    }
    default:
      message satisfies never
  }
}
