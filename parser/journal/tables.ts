import type { Database, RootDatabase } from 'lmdb'

export type Table = Database<Buffer, Buffer>

/** The journal's four tables. */
export interface Tables {
  /** One key: the journal's own state. */
  readonly state: Table
  /** sequence → QueueEntry, for files between claim and archive. */
  readonly queue: Table
  /** number → ProcessedFile, in the order of settling. */
  readonly processed: Table
  /** sha256 → ContentRecord, for ever. */
  readonly contents: Table
}

export const STATE_KEY = Buffer.from('state')
const TABLE_OPTIONS = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const

export function openTables(root: RootDatabase): Tables {
  const table = (name: string): Table => root.openDB<Buffer, Buffer>({ name, ...TABLE_OPTIONS })
  return {
    state: table('state'),
    queue: table('queue'),
    processed: table('processed'),
    contents: table('contents'),
  }
}
