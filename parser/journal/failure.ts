import { AssertionError } from 'node:assert'
import { constants } from 'node:os'
import { CountersinkError } from '../../shared/errors.ts'

/** Runs something of LMDB's; whatever fails there is JOURNAL_FAILED and ends the process. */
export function orJournalFailed<T>(what: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    if (cause instanceof CountersinkError || cause instanceof AssertionError) throw cause
    throw new CountersinkError('JOURNAL_FAILED', `the journal's ${what} failed`, {
      cause,
      advice: isFull(cause)
        ? 'Make room on the filesystem of the state directory; it goes on by itself.'
        : 'The state directory must be on a local filesystem that locks files, writable to this user, without a limit of file sizes.',
    })
  }
}

/** LMDB tells the system's number, node its name. */
function isFull(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const { ENOSPC, EDQUOT } = constants.errno
  return [ENOSPC, EDQUOT, 'ENOSPC', 'EDQUOT'].some(full => full === code)
}
