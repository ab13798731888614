/** P2: what a digest can go on from after a crash, and the check of one that was kept. */

import type { Checkpoint } from '../facts.ts'
import { isRunName } from '../sums/index.ts'
import { FIRST_BYTES_MAX } from './line-defects.ts'

/**
 * Why a kept checkpoint cannot be one of a file of this size; undefined if it can.
 *
 * @param mayReject bad lines may be put aside now.
 */
export function unfitCheckpoint(
  kept: Checkpoint,
  sizeBytes: number,
  mayReject = false,
): string | undefined {
  const { positionBytes, resumeBytes, lines, prefixSha256, runs } = kept
  if (![positionBytes, resumeBytes, lines].every(n => Number.isSafeInteger(n) && n >= 0)) {
    return 'its numbers are not whole'
  }
  if (positionBytes > sizeBytes) {
    return `it stands at ${positionBytes}, the file has ${sizeBytes} bytes`
  }
  const cutBytes = positionBytes - resumeBytes
  // A bad line that was cut may have begun anywhere.
  if (cutBytes < 0 || (cutBytes >= FIRST_BYTES_MAX && !mayReject)) {
    return `it resumes at ${resumeBytes}, but stands at ${positionBytes}`
  }
  if (prefixSha256.length !== 32) return `its hash has ${prefixSha256.length} bytes`
  if (kept.rejects !== undefined && !mayReject) return 'bad lines were put aside, and may not be'
  const misnamed = runs.find(name => !isRunName(name))
  if (misnamed !== undefined) return `${JSON.stringify(misnamed)} is not the name of a run`
  return undefined
}
