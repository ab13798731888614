/** What passes between the digest and its worker threads. Both sides import this file only. */

import type { BadLine } from './line-defects.ts'

/** One file's worth of work. A worker does one at a time and answers each with one outcome. */
export interface Job {
  /** Shared with others and not owned: read at explicit positions, never closed. */
  readonly fd: number
  readonly sizeBytes: number
  /** How much is read at once. */
  readonly readBytes: number
}

export interface SumJob extends Job {
  readonly pairsMax: number
}

export interface HashResult {
  readonly sha256: Uint8Array
  readonly endsWithLineEnd: boolean
  readonly hashMs: number
}

export interface SumResult {
  readonly lines: number
  readonly verdict: SumVerdict
  readonly sumMs: number
}

export type SumVerdict =
  | {
      readonly ok: true
      readonly amount: bigint
      readonly ids: BigUint64Array<ArrayBuffer>
      readonly amounts: BigUint64Array<ArrayBuffer>
      readonly largestSum: bigint
    }
  | { readonly ok: false; readonly bad: BadLine }

export interface JobMessage<J extends Job> {
  readonly job: J
  /**
   * One shared 32-bit word, not 0 when the job is given up. A worker in its loop takes no
   * messages, so this is the only thing that reaches it.
   */
  readonly cancelled: Int32Array
}

export type WorkerMessage<R> =
  | { readonly kind: 'progress'; readonly positionBytes: number }
  | { readonly kind: 'done'; readonly result: R }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'changed'; readonly message: string }
  /** `errno` is the system's name of the error: a cloned Error loses its code. */
  | { readonly kind: 'failed'; readonly message: string; readonly errno: string }
