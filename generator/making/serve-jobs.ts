/**
 * A worker thread's side: takes jobs, one at a time, and answers each once.
 *
 * What the system refuses is an answer. Anything else thrown is a fault of the program: it ends the
 * thread and is reported by the thread's death.
 */

import { parentPort } from 'node:worker_threads'
import { toError } from '../../shared/errors.ts'
import type { ThreadMessage } from './making-messages.ts'

/** Does every job that is sent to this thread; `work` returns undefined for one that was given up. */
export function serveJobs<J, R>(work: (job: J, progressed: () => void) => R | undefined): void {
  const port = parentPort
  if (port === null) throw new Error('this module is the main file of a worker thread')
  const post = (message: ThreadMessage<R>) => port.postMessage(message)
  port.on('message', (job: J) => post(answerTo(job)))

  function answerTo(job: J): ThreadMessage<R> {
    try {
      const result = work(job, () => post({ kind: 'progress' }))
      return result === undefined ? { kind: 'given up' } : { kind: 'done', result }
    } catch (thrown: unknown) {
      const error = toError(thrown)
      if (!('syscall' in error && 'code' in error)) throw thrown
      return { kind: 'failed', code: String(error.code), message: error.message }
    }
  }
}
