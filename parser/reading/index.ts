/**
 * From an entry to a verdict: which file next, read to its end, judged. Behind it nobody opens a file
 * to learn what is in it.
 */

export { changedAfterClaim } from './objection.ts'
export { ReadingStage } from './reading-stage.ts'
export { closeAll, type Verdict } from './verdict.ts'
export { isShortage, openWorkFile, sameIdentity } from './work-file.ts'
