import type { Session } from '../connection.ts'

/**
 * Runs what only reads, all of it as of one moment, beside whoever counts meanwhile. (Sessions are READ
 * COMMITTED, under which a consistent snapshot is silently none.)
 *
 * @param held tables that nobody alters until it ends: the definition of one that was altered since the
 *   snapshot was taken would be an error (1412) in the middle of the answer.
 */
export async function inSnapshot<T>(
  session: Session,
  read: () => Promise<T>,
  held: readonly string[] = [],
): Promise<T> {
  // Whoever reads the answer may be a person with a pager.
  await session.execute(`SET SESSION net_write_timeout = ${SLOW_READER_SECONDS}`)
  await session.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  if (held.length === 0) {
    await session.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
  } else {
    // They are opened together, and the first row that is read afterwards takes the snapshot.
    await session.execute('START TRANSACTION READ ONLY')
    await session.query(`SELECT 1 FROM ${held.join(', ')} LIMIT 0`)
  }
  try {
    return await read()
  } finally {
    if (session.isUsable) await session.rollback()
  }
}

const SLOW_READER_SECONDS = 3_600
