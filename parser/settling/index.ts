/**
 * The way out of work/: where a file goes, what cannot go, what changes afterwards.
 */

export { ArchiveLimit } from './archive-limit.ts'
export type { Ending } from './ending.ts'
export { GrowthWatch } from './growth-watch.ts'
export { Settler } from './settler.ts'
