/**
 * The way out of work/: where a file goes, what cannot go, what changes afterwards.
 */

export { ArchiveLimit } from './archive-limit.ts'
export { GrowthWatch } from './growth-watch.ts'
export { type Ending, Settler } from './settler.ts'
