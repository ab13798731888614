/**
 * MariaDB: the schema and what is checked, adding a batch exactly once, asking. Nobody else writes SQL
 * or knows the driver.
 */

export { hasTotals, knownContents, type RecordedContent } from './asking/at-rest.ts'
export {
  contentsWithPrefix,
  type KnownContent,
  processedFile,
  withLedgerRows,
} from './asking/contents.ts'
export type { Named } from './asking/namesakes.ts'
export {
  askFor,
  findOrder,
  type OrderRequest,
  type OrderStanding,
  objectionToUndo,
  orderOf,
  orderStanding,
  pruneOrder,
  resetOrder,
} from './asking/orders.ts'
export { ownFrom } from './asking/rows.ts'
export {
  type Balance,
  readBalance,
  readTopTotals,
  readTotal,
  readTotals,
  type Total,
} from './asking/totals.ts'
export {
  findTrails,
  type LedgerTrails,
  type WholeLedgerTrail,
  wholeTrail,
} from './asking/trails.ts'
export {
  readUsage,
  type UsageAccount,
  type UsageLine,
  type UsageOf,
  type UsageQuestion,
} from './asking/usage.ts'
export type { GivenTime, UsagePeriod } from './asking/usage-periods.ts'
export { amountOf, type Batch, type BatchFile, newBatchId } from './batch.ts'
export { readClosing } from './closing/foldable.ts'
export { Session } from './connection.ts'
export { type FileOrder, isFileOrder } from './counting/carry-out.ts'
export type { CountResult, OrderResult, StagedResult } from './counting/counter.ts'
export type { Order } from './counting/order-row.ts'
export { readEmptied } from './counting/reset.ts'
export { asStaged, membersOf, type StagedBatch } from './counting/signed-chunks.ts'
export { examineDatabase } from './examining/examination.ts'
export type { KnownLedger } from './examining/ledger.ts'
export type { LedgerFile } from './file-rows.ts'
export { isOneOfSeveral, openSession } from './hosts.ts'
export { Ledger, type OpenBatch } from './ledger.ts'
export { hourSeed } from './periods/hour-seed.ts'
export type { Unrolled } from './periods/upkeep.ts'
export {
  type ConsumerAccount,
  type ConsumerPosting,
  type PostingPlace,
  readConsumer,
} from './proving/consumer-account.ts'
export { LEDGER_CHECKS } from './proving/ledger-proof.ts'
export type { Difference } from './proving/totals-window.ts'
export { type Proof, type ProofOptions, prove } from './proving/verify.ts'
export { findLedger } from './schema/ledger-there.ts'
export type { OpeningTaken } from './schema/opening-balance.ts'
export {
  type Account,
  quotedAccount,
  type SchemaStatements,
  schemaStatements,
} from './schema/printed.ts'
export {
  fromSqlTime,
  GRANULARITIES,
  type Granularity,
  type LedgerNames,
  ledgerNames,
} from './schema/tables.ts'
export { WITNESSES_MAX, type Witness, witnessOf } from './schema/witnesses.ts'
export { isMissingTable, judgeSqlError } from './sql-errors.ts'
export { watchStatements } from './statement-watch.ts'
export { type DatabaseAddress, databaseAddress } from './way-in.ts'
