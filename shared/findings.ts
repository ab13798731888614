/**
 * What a check has found, for a person: one line, with what mends it. Whoever looks never throws what it
 * looked for: an error of ours is the finding, and what could not be looked at is one too.
 *
 * - **ok**, **warn**: the service works. **FAIL**: it would refuse to start, or count nothing.
 */

import { CountersinkError, explainError, hasCode, systemReason } from './errors.ts'

export interface Finding {
  /** What was looked at. */
  readonly check: string
  readonly verdict: 'ok' | 'warn' | 'FAIL'
  readonly found: string
  /** Word for word: SQL ends in a semicolon, anything else is a command for a shell. */
  readonly mend: readonly string[]
  /** false: it could not be looked at, so nothing is known of it. */
  readonly isKnown: boolean
}

export function ok(check: string, found: string): Finding {
  return { check, verdict: 'ok', found, mend: [], isKnown: true }
}

export function warn(check: string, found: string, ...mend: readonly string[]): Finding {
  return { check, verdict: 'warn', found, mend, isKnown: true }
}

export function fail(check: string, found: string, ...mend: readonly string[]): Finding {
  return { check, verdict: 'FAIL', found, mend, isKnown: true }
}

export function notLookedAt(check: string, why: string, ...mend: readonly string[]): Finding {
  const found = `could not be looked at: ${why}`
  return { check, verdict: 'warn', found, mend, isKnown: false }
}

/**
 * The finding of a look that ends well, or of what it throws.
 *
 * @param look what was found; text alone: all is well.
 * @param commonMend for an error that does not know how it is mended.
 */
export async function looked(
  check: string,
  look: () => Promise<string | Finding> | string | Finding,
  ...commonMend: readonly string[]
): Promise<Finding> {
  try {
    const found = await look()
    return typeof found === 'string' ? ok(check, found) : found
  } catch (error) {
    return ofError(check, error, ...commonMend)
  }
}

/** @throws what is a fault of ours. */
export function ofError(check: string, error: unknown, ...commonMend: readonly string[]): Finding {
  if (error instanceof CountersinkError) {
    const mend = error.mend.length > 0 ? error.mend : commonMend
    const isTold = !hasCode(error, ...NOBODY_TELLS)
    return (isTold ? fail : notLookedAt)(check, explainError(error), ...mend)
  }
  // Of a path, by the system: denied, or gone in this moment.
  if (error instanceof Error && 'syscall' in error) return notLookedAt(check, systemReason(error))
  throw error
}

/** Somebody is at it who does not answer, or it is not known here how to get in. */
const NOBODY_TELLS = ['JOURNAL_IN_USE', 'REQUEST_TIMEOUT', 'STOPPED']
