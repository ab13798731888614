/**
 * `recover`: what is archived, what is on its way, what is lost, and the way back.
 */

export { archivedFiles } from './archived-files.ts'
export { JournalRecords } from './journal-records.ts'
export { type Finding, recoverFrom } from './recovery.ts'
export { outliveReaders, tell } from './telling.ts'
