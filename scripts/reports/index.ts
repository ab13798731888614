/**
 * What `up --files` shows at its end, from journal and ledger.
 */

export { closingReport } from './closing-report.ts'
