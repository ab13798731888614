/** What passes between `FileMaker` and its threads. All sides import this file. */

import type { SharedRing } from './block-ring.ts'
import type { FileRecipe } from './record-source.ts'

export interface FormatJob {
  readonly ring: SharedRing
  readonly recipe: FileRecipe
  /** How much of each block to fill at the most. */
  readonly blockBytes: number
}

export interface FormatResult {
  readonly lines: number
  readonly amount: bigint
}

export interface StoreJob {
  readonly ring: SharedRing
  /** Not owned: written from its present position on, never synced or closed. */
  readonly fd: number
}

export interface StoreResult {
  /** Lower-case hex. */
  readonly sha256: string
}

export type ThreadMessage<R> =
  /** Bytes have been stored since the last such message. */
  | { readonly kind: 'progress' }
  | { readonly kind: 'done'; readonly result: R }
  | { readonly kind: 'given up' }
  /** The system's refusal, such as ENOSPC: a cloned Error loses its code. */
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
