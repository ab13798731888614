import { CountersinkError } from '../../shared/errors.ts'
import { type Ending, JobThread } from '../../shared/job-thread.ts'
import type { ThreadMessage } from './making-messages.ts'

/** One of the generator's threads, seen from the main thread: what a `JobThread` says, as results. */
export class MakerThread<J, R> {
  readonly #thread: JobThread<J, ThreadMessage<R>, R | undefined>

  /** `name` is for messages and for whoever looks at the process's threads. */
  constructor(url: URL, name: string) {
    this.#thread = new JobThread({
      ...{ url, name: `generator-${name}` },
      onDeath: fault => {
        const message = `the ${name} thread died while making a file`
        return new CountersinkError('IO_FAILED', message, { cause: fault })
      },
    })
  }

  /** Starts the thread before there is a job; not needed, but the first job finds it ready. */
  start(): Promise<void> {
    return this.#thread.start()
  }

  /**
   * Does one job. Settles only once the thread has let go of what the job gave it; undefined: the
   * job was given up. Rejects with the system's own error (ENOSPC and so on), or with IO_FAILED if
   * the thread died.
   */
  run(job: J, onProgress: () => void = () => {}): Promise<R | undefined> {
    return this.#thread.run(job, (message, ending) => hear(message, onProgress, ending))
  }

  /** Ends the thread; a job under way rejects with IO_FAILED. Safe to repeat. */
  close(): Promise<void> {
    return this.#thread.close()
  }
}

function hear<R>(
  message: ThreadMessage<R>,
  onProgress: () => void,
  ending: Ending<R | undefined>,
): void {
  switch (message.kind) {
    case 'progress':
      onProgress()
      return
    case 'done':
      ending.resolve(message.result)
      return
    case 'given up':
      ending.resolve(undefined)
      return
    case 'failed':
      ending.reject(Object.assign(new Error(message.message), { code: message.code }))
      return
    default:
      message satisfies never
  }
}
