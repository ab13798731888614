/**
 * The worker's side: takes jobs, reads the file, answers.
 *
 * What files can do to a worker (end early, fail to be read or written) is a CountersinkError and
 * becomes an answer. Anything else thrown is a fault of the program, ends the thread, and is
 * reported by the thread's death.
 */

import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort, type TransferListItem } from 'node:worker_threads'
import { CountersinkError } from '../../../shared/errors.ts'
import {
  CHECKPOINTS_AHEAD_MAX,
  CONTROL_CANCELLED,
  CONTROL_CHECKPOINTS,
  type ControlWords,
  type Job,
  type JobMessage,
  type WorkerMessage,
} from '../worker-messages.ts'
import { endsEarly, readOrFail } from './segment.ts'

/** Bytes of the file, only valid until the next piece is asked for. */
export interface Piece {
  readonly bytes: Uint8Array
  /** The position behind them. */
  readonly endBytes: number
  /** A piece ends at each checkpoint's position, and at the one that the digest goes on from. */
  readonly endsAt: 'checkpoint' | 'resumed' | undefined
}

/** What a job reads from and tells to. */
export interface FileSource<E> {
  /** The file's bytes in order. */
  pieces(job: Job): Iterable<Piece>
  /** Tells now and then how far the thread has come, if it reads the file by itself. */
  tellPosition(positionBytes: number): void
  tell(event: E): void
  /** Tells this thread's part of a checkpoint; waits if too many are not done with. */
  tellCheckpoint(part: E): void
  /** Throws if the job has been given up: to be called between long steps. */
  throwIfCancelled(): void
}

/** Ends a job that was given up. */
class Cancelled extends Error {}

/** Does every job that is sent to this thread, until the thread is terminated. */
export function serveJobs<J extends object, E, R>(
  work: (job: J, file: FileSource<E>) => { result: R; transfer?: TransferListItem[] },
): void {
  lowerPriority()
  const port = parentPort
  if (port === null) throw new Error('this module is the main file of a worker thread')
  const post = (message: WorkerMessage<E, R>, transfer?: TransferListItem[]) =>
    port.postMessage(message, transfer)
  port.on('message', ({ job, control }: JobMessage<J>) => {
    try {
      const { result, transfer } = work(job, openSource(control, post))
      post({ kind: 'done', result }, transfer)
    } catch (error: unknown) {
      if (error instanceof Cancelled) post({ kind: 'cancelled' })
      else if (error instanceof CountersinkError) post(failureOf(error))
      else throw error
    }
  })
}

/** Others are preferred ten to one where they compete: enough for them to run as soon as they want to. */
const NICENESS = 10

/**
 * Of this thread alone. Digesting takes all the processors there are, for seconds; whoever waits for
 * an acknowledgement, or is the database, comes first.
 */
function lowerPriority(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), NICENESS)
  } catch {
    // No such directory, or not allowed: others wait a little longer then.
  }
}

/** Positions in between are not told: each would wake the main thread, which has acks to give. */
const POSITION_INTERVAL_MS = 20

function openSource<E>(
  control: ControlWords,
  post: (message: WorkerMessage<E, never>) => void,
): FileSource<E> {
  const throwIfCancelled = () => {
    if (Atomics.load(control, CONTROL_CANCELLED) !== 0) throw new Cancelled()
  }
  let nextTellMs = 0
  const tellPosition = (positionBytes: number) => {
    const nowMs = performance.now()
    if (nowMs < nextTellMs) return
    nextTellMs = nowMs + POSITION_INTERVAL_MS
    post({ kind: 'progress', positionBytes })
  }
  const tell = (event: E) => post({ kind: 'event', event })
  let told = 0
  return {
    pieces: job => readPieces(job, throwIfCancelled, tellPosition),
    tellPosition,
    tell,
    tellCheckpoint(part) {
      tell(part)
      told += 1
      for (;;) {
        throwIfCancelled()
        const settled = Atomics.load(control, CONTROL_CHECKPOINTS)
        if (told - settled <= CHECKPOINTS_AHEAD_MAX) return
        // A cancellation does not change the word waited for: look after it now and then.
        Atomics.wait(control, CONTROL_CHECKPOINTS, settled, 50)
      }
    },
    throwIfCancelled,
  }
}

function* readPieces(
  job: Job,
  throwIfCancelled: () => void,
  onPosition: (positionBytes: number) => void,
): Generator<Piece> {
  const { fd, sizeBytes, readBytes } = job
  let position = job.startBytes
  const buffer = new Uint8Array(Math.min(readBytes, sizeBytes - position))
  while (position < sizeBytes) {
    throwIfCancelled()
    const stop = nextStop(job, position)
    const wanted = Math.min(buffer.length, stop - position)
    const got = readOrFail(fd, buffer.subarray(0, wanted), 0, position)
    if (got === 0) throw endsEarly(position, sizeBytes)
    position += got
    yield { bytes: buffer.subarray(0, got), endBytes: position, endsAt: endsAt(job, position) }
    onPosition(position)
  }
  throwIfCancelled()
}

/** The first position behind this one where a piece has to end. */
function nextStop({ sizeBytes, checkpointBytes, resumedBytes }: Job, position: number): number {
  if (position < resumedBytes) return resumedBytes
  return Math.min((Math.floor(position / checkpointBytes) + 1) * checkpointBytes, sizeBytes)
}

function endsAt({ sizeBytes, checkpointBytes, resumedBytes }: Job, at: number): Piece['endsAt'] {
  if (at === resumedBytes) return 'resumed'
  const isCheckpoint = at > resumedBytes && at < sizeBytes && at % checkpointBytes === 0
  return isCheckpoint ? 'checkpoint' : undefined
}

function failureOf({
  code,
  message,
  advice,
  cause,
}: CountersinkError): WorkerMessage<never, never> {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  return { kind: 'failed', code, message, advice, errno }
}
