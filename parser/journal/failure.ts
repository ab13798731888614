import { CountersinkError } from '../../shared/errors.ts'

/** Runs something of LMDB's; whatever fails there is JOURNAL_FAILED and ends the process. */
export function guarded<T>(what: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    if (cause instanceof CountersinkError) throw cause
    throw new CountersinkError('JOURNAL_FAILED', `the journal's ${what} failed`, { cause })
  }
}
