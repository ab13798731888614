/**
 * From verdicts to totals: merged into batches, applied, taken up again, refused. The only room whose
 * loop waits for MariaDB.
 */

export { BatchMaker } from './batch-maker.ts'
export { BatchResumer } from './batch-resumer.ts'
export { CountingStage } from './counting-stage.ts'
export { reconcileWithLedger } from './reconcile-journal.ts'
export { Refuser } from './refuser.ts'
export { SameNameNotices } from './same-names.ts'
