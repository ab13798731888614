/**
 * From recorded or read sums to totals, where this parser counts; journal and ledger made to agree.
 */

export { CountingStage } from './counting-stage.ts'
export { EarlierBatches } from './earlier-batches.ts'
export { Follower } from './follower.ts'
export { HeldFilesWatch } from './held-files.ts'
export { Orders } from './orders.ts'
export { reconcileWithLedger } from './reconcile-journal.ts'
export { SameNameNotices } from './same-names.ts'
export { StagedBatches } from './staged-batches.ts'
export { UsageUpkeep } from './usage-upkeep.ts'
