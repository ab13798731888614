/**
 * What cannot be answered, as `application/problem+json` (RFC 9457) with the codes that the command line has.
 */

import { STATUS_CODES } from 'node:http'
import { CountersinkError, type ErrorCode, toError, withCause } from '../../shared/errors.ts'
import { count, fields, orNull, text } from '../command-table/index.ts'

/** What is wrong with a request itself; everything else is an error of ours. */
export type ProblemCode =
  | ErrorCode
  | 'NOT_FOUND'
  | 'METHOD_NOT_ALLOWED'
  | 'HOST_NOT_KNOWN'
  | 'TOKEN_NEEDED'
  | 'BUSY'
  | 'FAILED'

export class Problem extends Error {
  readonly status: number
  readonly code: ProblemCode
  readonly advice: string | undefined

  constructor(status: number, code: ProblemCode, message: string, advice?: string) {
    super(message)
    this.name = 'Problem'
    this.status = status
    this.code = code
    this.advice = advice
  }
}

export const PROBLEM = fields({
  ...{ title: text(), status: count(), code: text('for programs') },
  ...{ detail: text('for people'), advice: orNull(text('what to do')) },
})

/** With these another time may bring an answer. */
const LATER: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(['STOPPED', 'DATABASE_UNAVAILABLE', 'DATABASE_FAILED', 'JOURNAL_IN_USE'] as const),
  ...(['JOURNAL_UNREADABLE', 'REQUEST_TIMEOUT', 'CHANNEL_CLOSED', 'NO_PLACE'] as const),
  ...(['STATE_DIRECTORY_IN_USE', 'LEDGER_UNFIT', 'LEDGER_BEHIND', 'CONFIG_INVALID'] as const),
])

export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown
  if (!(thrown instanceof CountersinkError)) {
    return new Problem(500, 'FAILED', 'this could not be answered; the log says why')
  }
  const { code, advice } = thrown
  const status = code === 'USAGE' ? 400 : LATER.has(code) ? 503 : 500
  return new Problem(status, code, withCause(toError(thrown)), advice)
}

export function problemJson({ status, code, message, advice }: Problem) {
  const title = STATUS_CODES[status] ?? 'Error'
  return { title, status, code, detail: message, advice: advice ?? null }
}

export function badRequest(message: string): Problem {
  return new Problem(400, 'USAGE', message)
}
