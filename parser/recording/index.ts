/**
 * From verdicts to the ledger: what is a duplicate, what is refused, and the sums of all others, written
 * down for whoever counts, or handed to the counting of this very process.
 */

export { batchFile, firstOfEachContent } from './contents.ts'
export { Decider, type ReadFile } from './decider.ts'
export { NamePolicy } from './name-policy.ts'
export { RecordingStage } from './recording-stage.ts'
export { Refuser } from './refuser.ts'
