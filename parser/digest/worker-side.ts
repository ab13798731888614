/**
 * The worker's side: takes jobs, reads the file, answers.
 *
 * What a file can do to a worker (end early, fail to be read) is an answer. Anything else thrown
 * is a fault of the program, ends the thread, and is reported by the thread's death.
 */

import { readSync } from 'node:fs'
import { parentPort, type TransferListItem } from 'node:worker_threads'
import type { Job, JobMessage, WorkerMessage } from './worker-messages.ts'

/** The file as seen by one job. */
export interface FileSource {
  /** The file's bytes in order, in pieces that are only valid until the next one is asked for. */
  readonly pieces: Iterable<Uint8Array>
  /** Throws if the job has been given up: to be called between long steps. */
  throwIfCancelled(): void
}

/** Ends a job without a result. */
class JobEnd extends Error {
  readonly outcome: WorkerMessage<never>

  constructor(outcome: WorkerMessage<never>) {
    super(outcome.kind)
    this.outcome = outcome
  }
}

/** Does every job that is sent to this thread, until the thread is terminated. */
export function serveJobs<J extends Job, R>(
  work: (job: J, file: FileSource) => { result: R; transfer?: TransferListItem[] },
): void {
  const port = parentPort
  if (port === null) throw new Error('this module is the main file of a worker thread')
  const post = (message: WorkerMessage<R>, transfer?: TransferListItem[]) =>
    port.postMessage(message, transfer)
  port.on('message', ({ job, cancelled }: JobMessage<J>) => {
    try {
      const onPosition = (positionBytes: number) => post({ kind: 'progress', positionBytes })
      const { result, transfer } = work(job, openSource(job, cancelled, onPosition))
      post({ kind: 'done', result }, transfer)
    } catch (error: unknown) {
      if (!(error instanceof JobEnd)) throw error
      post(error.outcome)
    }
  })
}

function openSource(
  job: Job,
  cancelled: Int32Array,
  onPosition: (positionBytes: number) => void,
): FileSource {
  const throwIfCancelled = () => {
    if (Atomics.load(cancelled, 0) !== 0) throw new JobEnd({ kind: 'cancelled' })
  }
  return { pieces: readPieces(job, throwIfCancelled, onPosition), throwIfCancelled }
}

function* readPieces(
  { fd, sizeBytes, readBytes }: Job,
  throwIfCancelled: () => void,
  onPosition: (positionBytes: number) => void,
): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(readBytes, sizeBytes))
  let position = 0
  while (position < sizeBytes) {
    throwIfCancelled()
    const wanted = Math.min(buffer.length, sizeBytes - position)
    const got = readOrEnd(fd, buffer, wanted, position)
    if (got === 0) {
      const message = `the file ends after ${position} bytes, expected ${sizeBytes}`
      throw new JobEnd({ kind: 'changed', message })
    }
    position += got
    yield buffer.subarray(0, got)
    onPosition(position)
  }
  throwIfCancelled()
}

function readOrEnd(fd: number, buffer: Uint8Array, wanted: number, position: number): number {
  try {
    return readSync(fd, buffer, 0, wanted, position)
  } catch (error: unknown) {
    if (!(error instanceof Error && 'errno' in error && 'code' in error)) throw error
    const message = `reading ${wanted} bytes at ${position}: ${error.message}`
    throw new JobEnd({ kind: 'failed', message, errno: String(error.code) })
  }
}
