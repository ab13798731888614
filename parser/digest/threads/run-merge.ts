/** Runs of one file, and what is in memory, as one ascending sequence: for worker threads. */

import { type PairChunk, RunBlocks } from '../../sums/index.ts'
import type { PairSource, SumKernel } from '../sum-kernel.ts'

/** Blocks of a merge between two signs of life. */
const BLOCKS_PER_SIGN = 256

/** A consumer's sum passes 2^64 − 1 when runs are merged: at which line is not known here. */
export class SumOverflow extends Error {
  constructor() {
    super('the sum of a consumer passes 2^64 - 1')
  }
}

/**
 * Puts the pairs of all runs, and those of `more`, in ascending order, equal ids added together.
 * `pause` is called now and then, and may throw to end it.
 * @throws SumOverflow, CountersinkError RUN_UNREADABLE
 */
export function mergeRuns(options: {
  readonly paths: readonly string[]
  readonly more?: PairSource
  /** Merges, whatever sums it holds. */
  readonly kernel: SumKernel
  readonly put: (chunk: PairChunk) => void
  readonly pause: () => void
}): void {
  const { paths, more, kernel, put, pause } = options
  const opened: RunBlocks[] = []
  let blocks = 0
  const putAndPause = (chunk: PairChunk) => {
    put(chunk)
    blocks += 1
    if (blocks % BLOCKS_PER_SIGN === 0) pause()
  }
  try {
    for (const path of paths) opened.push(RunBlocks.open(path))
    const sources = more === undefined ? opened : [...opened, more]
    if (!kernel.merge(sources, putAndPause)) throw new SumOverflow()
  } finally {
    for (const run of opened) run.close()
  }
}
