import { statSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import { guarded } from './failure.ts'
import { decodeState, type JournalState } from './records.ts'
import { JournalView, openTables, STATE_KEY } from './views.ts'

/**
 * Reads a journal that another process may be writing, for as long as `read` takes, and leaves it
 * unchanged. undefined when there is none.
 */
export async function readJournal<T>(
  path: string,
  read: (view: JournalView, state: JournalState) => T,
): Promise<T | undefined> {
  if (statSync(join(path, 'data.mdb'), { throwIfNoEntry: false }) === undefined) return undefined
  const root = guarded('open for reading', () =>
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
}
