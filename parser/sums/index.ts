/**
 * Pairs of consumer and sum, ascending: in memory, in run files, merged.
 */

export { mergeSums } from './merge-sums.ts'
export { PairTally, u64, wordsOf } from './pair-words.ts'
export { BLOCK_PAIRS, isRunName, type RunFacts, type RunLabel, unreadable } from './run-format.ts'
export { deleteRun, RunKeeper, RunSums, sweepRuns } from './run-keeper.ts'
export { RunBlocks, verifyRunSync } from './run-reader.ts'
export { writeRunSync } from './run-writer.ts'
export { MemorySums, type PairChunk, type Sums } from './sums.ts'
