import type { Session } from '../connection.ts'

/**
 * Runs what only reads, all of it as of one moment, beside whoever counts meanwhile. (Sessions are READ
 * COMMITTED, under which a consistent snapshot is silently none.)
 */
export async function inSnapshot<T>(session: Session, read: () => Promise<T>): Promise<T> {
  // Whoever reads the answer may be a person with a pager.
  await session.execute(`SET SESSION net_write_timeout = ${SLOW_READER_SECONDS}`)
  await session.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await session.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
  try {
    return await read()
  } finally {
    if (session.isUsable) await session.rollback()
  }
}

const SLOW_READER_SECONDS = 3_600
