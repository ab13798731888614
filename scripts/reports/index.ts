/**
 * What `up --files` shows at its end, from journal and ledger.
 */

export { type ClosingReport, closingReport } from './closing-report.ts'
