/**
 * LMDB: queue, index of contents, history, and who owns them. Nobody else knows how they are kept.
 */

export { Journal, type Settlement } from './journal.ts'
export { type JournalLock, ownJournal } from './journal-lock.ts'
export { readJournal } from './reading.ts'
export { withWaiting } from './views.ts'
