/** P2: what a digest can go on from after a crash, and the check of one that was kept. */

import { isRunName } from '../sums/run-format.ts'
import { FIRST_BYTES_MAX } from './line-defects.ts'

/**
 * Everything known of a file's first bytes: enough to go on without parsing them again.
 * It holds for a file whose first `positionBytes` bytes have this hash, and for no other.
 */
export interface Checkpoint {
  /** How much of the file was read: k · checkpointBytes. */
  readonly positionBytes: number
  /** The hash of the file's first `positionBytes` bytes. */
  readonly prefixSha256: Uint8Array
  /** Where the line begins that was cut at `positionBytes`: there the sum goes on. */
  readonly resumeBytes: number
  /** Good lines before `resumeBytes`. */
  readonly lines: number
  /** The sum of their amounts, and of all pairs in the runs. */
  readonly amount: bigint
  /** Names in the runs directory, oldest first: together the sums of those lines. */
  readonly runs: readonly string[]
}

/** Why a kept checkpoint cannot be one of a file of this size; undefined if it can. */
export function unfitCheckpoint(kept: Checkpoint, sizeBytes: number): string | undefined {
  const { positionBytes, resumeBytes, lines, prefixSha256, runs } = kept
  if (![positionBytes, resumeBytes, lines].every(n => Number.isSafeInteger(n) && n >= 0)) {
    return 'its numbers are not whole'
  }
  if (positionBytes > sizeBytes) {
    return `it stands at ${positionBytes}, the file has ${sizeBytes} bytes`
  }
  const cutBytes = positionBytes - resumeBytes
  if (cutBytes < 0 || cutBytes >= FIRST_BYTES_MAX) {
    return `it resumes at ${resumeBytes}, but stands at ${positionBytes}`
  }
  if (prefixSha256.length !== 32) return `its hash has ${prefixSha256.length} bytes`
  const misnamed = runs.find(name => !isRunName(name))
  if (misnamed !== undefined) return `${JSON.stringify(misnamed)} is not the name of a run`
  return undefined
}
