/**
 * What a service is asked, by a command or by a program: answers as data, said to nobody.
 */

export { withConsumer } from './consumer.ts'
export { CONTENT_STATES, type ContentFound, type ContentState, findContent } from './content.ts'
export { proveTotals } from './proof.ts'
export { totalsDatabase } from './totals-database.ts'
export { type WhatBecame, whatBecameOf } from './trail.ts'
