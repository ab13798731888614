/**
 * `recover`: what is archived, what is on its way, what is lost, and the way back.
 */

export { JournalRecords } from './journal-records.ts'
export { recoverFrom } from './recovery.ts'
export { outliveReaders } from './telling.ts'
