/**
 * What is told in many lines: the end of `up --files`, and why a number is what it is.
 */

export {
  type AccountTally,
  AccountTeller,
  type ConsumerLines,
  type Period,
  tallyFrom,
  tellConsumer,
} from './account-teller.ts'
export { type ClosingReport, closingReport } from './closing-report.ts'
export { consumerTable } from './consumer-report.ts'
export { addsUp, proofLines } from './proof-report.ts'
export { placeOf } from './trail-place.ts'
export { namesakeLines, severalLines, trailLines } from './trail-report.ts'
export { stepsOf } from './trail-steps.ts'
export { fileOfTrail, filesOfAnswer, verdictOf } from './trail-verdict.ts'
export { periodText, tellUsage } from './usage-report.ts'
