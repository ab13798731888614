/**
 * LMDB: queue, index of contents, history, and who owns them. Nobody else knows how they are kept.
 */

export { Journal } from './journal.ts'
export { type JournalLock, ownJournal } from './journal-lock.ts'
export { readJournal } from './reading.ts'
export type { Settlement } from './settlement.ts'
export { type JournalTrails, journalTrails } from './trails.ts'
export { withWaiting } from './views.ts'
