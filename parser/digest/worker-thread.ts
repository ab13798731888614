/**
 * One long-lived worker thread, seen from the main thread: one job at a time.
 *
 * The thread is started by the first job and again by the first job after its death. It keeps the
 * process alive only while a job is under way.
 */

import assert from 'node:assert/strict'
import { Worker } from 'node:worker_threads'
import { CountersinkError } from '../../shared/errors.ts'
import type { Job, JobMessage, WorkerMessage } from './worker-messages.ts'

/** A job ended because it was given up. Not a failure: whoever gave it up knows why. */
export class JobCancelled extends Error {}

interface Waiter<R> {
  readonly cancelled: Int32Array
  readonly onPosition: (positionBytes: number) => void
  readonly resolve: (result: R) => void
  readonly reject: (error: Error) => void
}

export class WorkerThread<J extends Job, R> {
  readonly #url: URL
  readonly #name: string
  #worker: Worker | undefined
  #waiter: Waiter<R> | undefined
  #closed = false

  /** `name` is for messages and for whoever looks at the process's threads. */
  constructor(url: URL, name: string) {
    this.#url = url
    this.#name = name
  }

  /**
   * Does one job. Settles only once the thread has let go of the job's descriptor.
   * Rejects with `JobCancelled`, FILE_CHANGED (the file is too short) or IO_FAILED (it cannot be
   * read, or the thread died).
   */
  run(job: J, onPosition: (positionBytes: number) => void): Promise<R> {
    assert(this.#waiter === undefined, `the ${this.#name} thread has a job already`)
    assert(!this.#closed, `the ${this.#name} thread is closed`)
    const cancelled = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
    return new Promise<R>((resolve, reject) => {
      const worker = this.#worker ?? this.#start()
      this.#waiter = { cancelled, onPosition, resolve, reject }
      worker.ref()
      worker.postMessage({ job, cancelled } satisfies JobMessage<J>)
    })
  }

  /** Gives up the running job, if there is one: it ends within one read. */
  cancel(): void {
    if (this.#waiter !== undefined) Atomics.store(this.#waiter.cancelled, 0, 1)
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
    worker.on('message', (message: WorkerMessage<R>) => this.#onMessage(message))
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

  #onMessage(message: WorkerMessage<R>): void {
    switch (message.kind) {
      case 'progress':
        this.#waiter?.onPosition(message.positionBytes)
        return
      case 'done':
        this.#release()?.resolve(message.result)
        return
      case 'cancelled':
        this.#fail(new JobCancelled())
        return
      case 'changed':
        this.#fail(new CountersinkError('FILE_CHANGED', message.message))
        return
      case 'failed': {
        const cause = Object.assign(new Error(message.message), { code: message.errno })
        this.#fail(new CountersinkError('IO_FAILED', message.message, { cause }))
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
  #release(): Waiter<R> | undefined {
    const waiter = this.#waiter
    this.#waiter = undefined
    this.#worker?.unref()
    return waiter
  }
}
