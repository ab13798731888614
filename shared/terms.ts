/**
 * What a publication asks for besides being counted. In its manifest, whose fields these are, and from
 * there wherever the file goes: what was asked for is told by the file alone, whoever reads it.
 */

import { REASON_CHARACTERS_MAX, USED_AT_MS_MAX, USED_AT_MS_MIN } from './limits.ts'
import { parseRejectLimit, type RejectLimit, rejectLimitText } from './reject-limit.ts'

export interface Terms {
  /** The content that this one replaces, in hex: it is counted only together with taking that one back. */
  readonly supersedes?: string
  /** The content that could not be counted and that this one mends, in hex. */
  readonly parent?: string
  /** None: what the configuration of whoever reads it says. */
  readonly rejectLines?: RejectLimit
  /** When what it tells of was used: what decides its hour, day and month. None: when it is claimed. */
  readonly usedAtMs?: number
  /** Why, in somebody's words. */
  readonly reason?: string
}

/** As fields of JSON. */
export interface TermsFields {
  readonly supersedes?: unknown
  readonly parent?: unknown
  readonly rejectLines?: unknown
  readonly usedAt?: unknown
  readonly reason?: unknown
}

export function termsFields(terms: Terms): TermsFields {
  const { supersedes, parent, rejectLines, usedAtMs, reason } = terms
  return {
    ...(supersedes === undefined ? {} : { supersedes }),
    ...(parent === undefined ? {} : { parent }),
    ...(rejectLines === undefined ? {} : { rejectLines: rejectLimitText(rejectLines) }),
    ...(usedAtMs === undefined ? {} : { usedAt: new Date(usedAtMs).toISOString() }),
    ...(reason === undefined ? {} : { reason }),
  }
}

/**
 * @param invalid makes the error for a field that cannot be used, which is thrown.
 * @returns undefined: nothing is asked for.
 */
export function parseTerms(
  fields: TermsFields,
  invalid: (why: string) => Error,
): Terms | undefined {
  const { supersedes, parent, rejectLines, usedAt, reason } = fields
  const content = (name: string, value: unknown): string => {
    if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value
    throw invalid(`${name} must be 64 lower-case hex digits, got ${JSON.stringify(value)}`)
  }
  const terms: { -readonly [Key in keyof Terms]: Terms[Key] } = {}
  if (supersedes !== undefined) terms.supersedes = content('supersedes', supersedes)
  if (parent !== undefined) terms.parent = content('parent', parent)
  if (rejectLines !== undefined) {
    const limit = typeof rejectLines === 'string' ? parseRejectLimit(rejectLines) : undefined
    if (limit === undefined) {
      throw invalid(
        `rejectLines must be a text like "10" or "0.5%", got ${JSON.stringify(rejectLines)}`,
      )
    }
    terms.rejectLines = limit
  }
  if (usedAt !== undefined) {
    const usedAtMs = typeof usedAt === 'string' ? parseUsedAt(usedAt) : undefined
    if (usedAtMs === undefined) {
      throw invalid(`usedAt must be ${USED_AT_ALLOWED}, got ${JSON.stringify(usedAt)}`)
    }
    terms.usedAtMs = usedAtMs
  }
  if (reason !== undefined) {
    if (typeof reason !== 'string' || [...reason].length > REASON_CHARACTERS_MAX) {
      throw invalid(`reason must be a text of at most ${REASON_CHARACTERS_MAX} characters`)
    }
    terms.reason = reason
  }
  return Object.keys(terms).length === 0 ? undefined : terms
}

/** What a time of usage may be, for the message of a refusal. */
export const USED_AT_ALLOWED =
  'a time with its zone like 2026-01-31T23:59:59Z or 2026-01-31T23:59:59.5+01:00, in the years from 2000 to 2099'

const TIME =
  /^\d{4}-(\d\d)-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** Milliseconds since 1970; undefined: it is none. */
export function parseUsedAt(text: string): number | undefined {
  const [, month, day] = TIME.exec(text) ?? []
  if (month === undefined || day === undefined) return undefined
  // 31 April is not 1 May.
  const date = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  if (!(date.getUTCMonth() + 1 === Number(month) && date.getUTCDate() === Number(day)))
    return undefined
  const ms = Date.parse(text)
  return isTimeOfUsage(ms) ? ms : undefined
}

export function isTimeOfUsage(ms: number): boolean {
  return ms >= USED_AT_MS_MIN && ms < USED_AT_MS_MAX
}
