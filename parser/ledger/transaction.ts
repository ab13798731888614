import type { Session } from './connection.ts'

/**
 * Runs an action as one transaction: committed when it returns, rolled back when it throws, or when it
 * returns what it has given to `undo`.
 */
export async function transaction<T>(
  session: Session,
  action: (undo: <R extends T>(result: R) => R) => Promise<T>,
): Promise<T> {
  let isUndone = false
  await session.execute('START TRANSACTION')
  try {
    const result = await action(undone => {
      isUndone = true
      return undone
    })
    if (isUndone) await session.rollback()
    else await session.execute('COMMIT')
    return result
  } catch (error) {
    // Of a lost connection nothing is left open.
    if (session.isUsable) await session.rollback()
    throw error
  }
}
