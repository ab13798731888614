import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { CountersinkError } from '../../shared/errors.ts'
import type { ThreadMessage } from './making-messages.ts'

interface Waiter<R> {
  readonly onProgress: () => void
  resolve(result: R | undefined): void
  reject(error: Error): void
}

/**
 * One long-lived worker thread, seen from the main thread: one job at a time. It is started by the
 * first job, and by the first after its death, and keeps the process alive only while it has one.
 */
export class MakerThread<J, R> {
  readonly #url: URL
  readonly #name: string
  #worker: Worker | undefined
  #waiter: Waiter<R> | undefined

  /** `name` is for messages and for whoever looks at the process's threads. */
  constructor(url: URL, name: string) {
    this.#url = url
    this.#name = name
  }

  /** Starts the thread before there is a job; not needed, but the first job finds it ready. */
  async start(): Promise<void> {
    if (this.#worker !== undefined) return
    const worker = this.#started()
    worker.ref()
    await once(worker, 'online')
    if (this.#waiter === undefined) worker.unref()
  }

  /**
   * Does one job. Settles only once the thread has let go of what the job gave it; undefined: the
   * job was given up. Rejects with the system's own error (ENOSPC and so on), or with IO_FAILED if
   * the thread died.
   */
  run(job: J, onProgress: () => void = () => {}): Promise<R | undefined> {
    assert(this.#waiter === undefined, `the ${this.#name} thread has a job already`)
    return new Promise((resolve, reject) => {
      const worker = this.#started()
      this.#waiter = { onProgress, resolve, reject }
      worker.ref()
      worker.postMessage(job)
    })
  }

  /** Ends the thread; a job under way rejects with IO_FAILED. Safe to repeat. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #started(): Worker {
    this.#worker ??= this.#start()
    return this.#worker
  }

  #start(): Worker {
    const worker = new Worker(this.#url, { name: `generator-${this.#name}` })
    let fault: unknown
    worker.on('message', (message: ThreadMessage<R>) => this.#onMessage(message))
    // A thread that dies of an error always exits as well, and only then is it really gone.
    worker.on('error', error => {
      fault = error
    })
    worker.on('exit', () => {
      this.#worker = undefined
      const message = `the ${this.#name} thread died while making a file`
      this.#release()?.reject(new CountersinkError('IO_FAILED', message, { cause: fault }))
    })
    worker.unref()
    return worker
  }

  #onMessage(message: ThreadMessage<R>): void {
    switch (message.kind) {
      case 'progress':
        this.#waiter?.onProgress()
        return
      case 'done':
        this.#release()?.resolve(message.result)
        return
      case 'given up':
        this.#release()?.resolve(undefined)
        return
      case 'failed':
        this.#release()?.reject(Object.assign(new Error(message.message), { code: message.code }))
        return
      default:
        message satisfies never
    }
  }

  /** The thread has no job any more; whoever waits for it is returned, to be told. */
  #release(): Waiter<R> | undefined {
    const waiter = this.#waiter
    this.#waiter = undefined
    this.#worker?.unref()
    return waiter
  }
}
