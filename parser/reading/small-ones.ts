import { SMALL_FILE_BYTES_MAX } from '../digest/index.ts'
import type { QueueEntry } from '../facts.ts'

/**
 * The entries at the beginning that are read together: of which nothing is known yet, and whose sums
 * are sure to fit in memory (a sealed run for each of so many would take a descriptor each until all
 * are handed on).
 *
 * @param pairsMax consumers of a file whose sums wait in memory.
 */
export function smallOnes(entries: readonly QueueEntry[], pairsMax: number): QueueEntry[] {
  const fitBytes = pairsMax * LINE_BYTES_MIN
  let bytes = 0
  const end = entries.findIndex(({ stage, sizeBytes, checkpoint }) => {
    bytes += sizeBytes
    const isFresh = stage === 'claimed' && checkpoint === undefined
    const isSmall = sizeBytes <= SMALL_FILE_BYTES_MAX && sizeBytes < fitBytes
    return !isFresh || !isSmall || bytes > TOGETHER_BYTES_MAX
  })
  return end === -1 ? [...entries] : entries.slice(0, end)
}

/** `1 2` and a line feed. */
const LINE_BYTES_MIN = 4

/** Files that are read together are at most so large in all. */
const TOGETHER_BYTES_MAX = 2 * 1024 * 1024
