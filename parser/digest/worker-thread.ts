/**
 * One long-lived worker thread, seen from the main thread: one job at a time.
 *
 * The thread is started by the first job and again by the first job after its death. It keeps the
 * process alive only while a job is under way.
 */

import assert from 'node:assert/strict'
import { type TransferListItem, Worker } from 'node:worker_threads'
import { CountersinkError } from '../../shared/errors.ts'
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

interface Waiter<E, R> {
  readonly control: ControlWords
  readonly listener: JobListener<E>
  readonly resolve: (result: R) => void
  readonly reject: (error: Error) => void
}

export class WorkerThread<J extends object, E, R> {
  readonly #url: URL
  readonly #name: string
  #worker: Worker | undefined
  #waiter: Waiter<E, R> | undefined
  #closed = false

  /** `name` is for messages and for whoever looks at the process's threads. */
  constructor(url: URL, name: string) {
    this.#url = url
    this.#name = name
  }

  /**
   * Does one job, to which what is in `transfer` moves. Settles only once the thread has let go of the job's descriptor.
   * Rejects with `JobCancelled`, IO_FAILED if the thread died, or with the thread's own error.
   */
  run(job: J, listener: JobListener<E>, transfer: TransferListItem[] = []): Promise<R> {
    assert(this.#waiter === undefined, `the ${this.#name} thread has a job already`)
    assert(!this.#closed, `the ${this.#name} thread is closed`)
    const control = new Int32Array(
      new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT),
    )
    return new Promise<R>((resolve, reject) => {
      const worker = this.#worker ?? this.#start()
      this.#waiter = { control, listener, resolve, reject }
      worker.ref()
      worker.postMessage({ job, control } satisfies JobMessage<J>, transfer)
    })
  }

  /** Gives up the running job, if there is one: it ends within one read. */
  cancel(): void {
    if (this.#waiter !== undefined) Atomics.store(this.#waiter.control, CONTROL_CANCELLED, 1)
  }

  /** Lets the running job, if there is one, go on past so many checkpoints and a few more. */
  settleCheckpoints(count: number): void {
    if (this.#waiter === undefined) return
    Atomics.store(this.#waiter.control, CONTROL_CHECKPOINTS, count)
    Atomics.notify(this.#waiter.control, CONTROL_CHECKPOINTS)
  }

  /** Ends the thread. A running job is cancelled. */
  async close(): Promise<void> {
    this.#closed = true
    this.cancel()
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(this.#url, { name: `digest-${this.#name}` })
    this.#worker = worker
    let fault: unknown
    worker.on('message', (message: WorkerMessage<E, R>) => this.#onMessage(message))
    // A thread that dies of an error always exits as well, and only then is it really gone.
    worker.on('error', error => {
      fault = error
    })
    worker.on('exit', () => {
      this.#worker = undefined
      const message = `the ${this.#name} thread died while reading a file`
      const died = new CountersinkError('IO_FAILED', message, { cause: fault })
      this.#fail(this.#closed ? new JobCancelled() : died)
    })
    return worker
  }

  #onMessage(message: WorkerMessage<E, R>): void {
    switch (message.kind) {
      case 'progress':
        this.#waiter?.listener.onPosition(message.positionBytes)
        return
      case 'event':
        this.#waiter?.listener.onEvent(message.event)
        return
      case 'done':
        this.#release()?.resolve(message.result)
        return
      case 'cancelled':
        this.#fail(new JobCancelled())
        return
      case 'failed': {
        const { code, advice, errno } = message
        const cause = Object.assign(new Error(message.message), { code: errno })
        this.#fail(
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

  #fail(error: Error): void {
    this.#release()?.reject(error)
  }

  /** The thread has no job any more; whoever waits for it is returned, to be told. */
  #release(): Waiter<E, R> | undefined {
    const waiter = this.#waiter
    this.#waiter = undefined
    this.#worker?.unref()
    return waiter
  }
}
