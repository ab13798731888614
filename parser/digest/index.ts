/**
 * Hash, and exact sums by consumer, of one file or of many small ones, seen from the main thread.
 */

export { type Digest, type DigestOptions, DigestWorkers, SUM_BYTES_MAX } from './digest.ts'
export { type BadLine, placeOfBadLine } from './line-defects.ts'
export { SMALL_FILE_BYTES_MAX, SmallFiles } from './small-files.ts'
