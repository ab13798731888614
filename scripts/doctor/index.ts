/**
 * What would keep the service from starting or from counting: every check of a start, and what only a
 * person looks at. Changes nothing, and needs no lock that the service holds.
 */

export { examine } from './examine.ts'
export { asAnswer, asText, exitOf } from './report.ts'
