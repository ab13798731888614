/**
 * Pairs of consumer and sum, ascending: in memory, in run files, in packed blocks, merged.
 */

export { Accumulators } from './accumulators.ts'
export { BlockDecoder, UNPACKED_BYTES } from './block-decoder.ts'
export { BlockEncoder, startPacking } from './block-encoder.ts'
export { type BlockFacts, PACKED_PAIRS_MAX, type PackedBlock } from './block-format.ts'
export { packPlainly, unpackPlainly } from './block-reference.ts'
export { mergeSums } from './merge-sums.ts'
export { Merger } from './merger.ts'
export { PairBuffer, PairTally, u64, wordsOf } from './pair-words.ts'
export { type IdRange, Remainders } from './remainders.ts'
export { BLOCK_PAIRS, isRunName, type RunFacts, type RunLabel, unreadable } from './run-format.ts'
export { deleteRun, RunKeeper, RunSums, sweepRuns } from './run-keeper.ts'
export { RunBlocks, verifyRunSync } from './run-reader.ts'
export { syncRunsSync, writeRunSync } from './run-writer.ts'
export { firstAfter, MemorySums, type PairChunk, type Sums } from './sums.ts'
