/**
 * What a service is asked, by a command or by a program: answers as data, said to nobody.
 */

export { withConsumer } from './consumer.ts'
export { type ContentFound, findContent } from './content.ts'
export { CONTENT_STATES, contentVerdict } from './content-verdict.ts'
export { proveTotals } from './proof.ts'
export { totalsDatabase } from './totals-database.ts'
export { type WhatBecame, whatBecameOf } from './trail.ts'
export { withUsage } from './usage.ts'
