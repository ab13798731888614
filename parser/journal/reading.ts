import { join } from 'node:path'
import { open } from 'lmdb'
import { CountersinkError } from '../../shared/errors.ts'
import { isThere } from '../../shared/looks.ts'
import { isJournalThere } from './damage.ts'
import { orJournalFailed } from './failure.ts'
import { readerLock } from './journal-lock.ts'
import { decodeState, type JournalState } from './records.ts'
import { openTables, STATE_KEY } from './tables.ts'
import { JournalView } from './views.ts'

/**
 * Reads a journal whose parser is not running, and leaves it unchanged. A parser that starts
 * meanwhile waits, so `read` should be short. undefined when there is no journal.
 *
 * @throws CountersinkError JOURNAL_IN_USE while a parser lives, however it answers: only its owner
 *   may have it open; JOURNAL_UNREADABLE
 */
export async function readJournal<T>(
  path: string,
  read: (view: JournalView, state: JournalState) => T,
): Promise<T | undefined> {
  if (!isThere(join(path, 'data.mdb'))) return undefined
  const lock = await readerLock(path)
  if (lock === undefined) {
    throw new CountersinkError(
      'JOURNAL_IN_USE',
      'a parser is at work on the journal, but does not answer: it is starting, ending, or hangs',
      { advice: 'Ask again in a moment.' },
    )
  }
  try {
    // Not before: what its owner is just writing may look like damage.
    if (!isJournalThere(path)) return undefined
    const root = orJournalFailed('open for reading', () =>
      open({
        path,
        readOnly: true,
        maxDbs: 4,
        encoding: 'binary',
        keyEncoding: 'binary',
        cache: false,
      }),
    )
    try {
      const tables = openTables(root)
      const record = tables.state.get(STATE_KEY)
      return record && read(new JournalView(tables), decodeState(record))
    } finally {
      await root.close()
    }
  } finally {
    lock.release()
  }
}
