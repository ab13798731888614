import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TransferListItem, Worker } from 'node:worker_threads'

/** How a job ends: by one of these, once. */
export interface Ending<R> {
  resolve(result: R): void
  reject(error: Error): void
}

export interface JobThreadOptions {
  readonly url: URL
  /** For messages, and for whoever looks at the process's threads. */
  readonly name: string
  /** What the job under way rejects with when the thread is gone; `fault` is what it died of, if anything. */
  onDeath(fault: unknown): Error
}

interface Waiter<M, R> extends Ending<R> {
  readonly onMessage: (message: M, ending: Ending<R>) => void
}

/**
 * One long-lived worker thread, seen from the main thread: one job at a time.
 *
 * The thread is started by the first job and again by the first job after its death. It keeps the
 * process alive only while a job is under way.
 */
export class JobThread<J, M, R> {
  readonly #options: JobThreadOptions
  #worker: Worker | undefined
  #waiter: Waiter<M, R> | undefined

  constructor(options: JobThreadOptions) {
    this.#options = options
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
   * Does one job, to which what is in `transfer` moves. `onMessage` hears what the thread says of it,
   * and ends it once the thread has let go of what the job gave it.
   */
  run(
    job: J,
    onMessage: (message: M, ending: Ending<R>) => void,
    transfer: readonly TransferListItem[] = [],
  ): Promise<R> {
    assert(this.#waiter === undefined, `the ${this.#options.name} thread has a job already`)
    return new Promise<R>((resolve, reject) => {
      const worker = this.#started()
      this.#waiter = { onMessage, resolve, reject }
      worker.ref()
      worker.postMessage(job, transfer)
    })
  }

  /** Ends the thread, and so a job under way. Safe to repeat. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #started(): Worker {
    this.#worker ??= this.#start()
    return this.#worker
  }

  #start(): Worker {
    const { url, name, onDeath } = this.#options
    const worker = new Worker(url, { name })
    let fault: unknown
    worker.on('message', (message: M) => this.#waiter?.onMessage(message, this.#ending))
    // A thread that dies of an error always exits as well, and only then is it really gone.
    worker.on('error', error => {
      fault = error
    })
    worker.on('exit', () => {
      this.#worker = undefined
      this.#ending.reject(onDeath(fault))
    })
    worker.unref()
    return worker
  }

  readonly #ending: Ending<R> = {
    resolve: result => this.#release()?.resolve(result),
    reject: error => this.#release()?.reject(error),
  }

  /** The thread has no job any more; whoever waits for it is returned, to be told. */
  #release(): Waiter<M, R> | undefined {
    const waiter = this.#waiter
    this.#waiter = undefined
    this.#worker?.unref()
    return waiter
  }
}
