/**
 * From a recipe to bytes on disk: a thread that formats, a thread that hashes and writes.
 */

export { FileMaker, type MadeFile, type MakeOptions, type Pacing } from './file-maker.ts'
export { type FileRecipe, fileSizeBytes, type RecordOptions } from './record-source.ts'
export { Sfc32 } from './sfc32.ts'
