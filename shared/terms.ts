/**
 * What a publication asks for besides being counted. In its manifest, whose fields these are, and from
 * there wherever the file goes: what was asked for is told by the file alone, whoever reads it.
 */

import { REASON_CHARACTERS_MAX } from './limits.ts'
import { parseRejectLimit, type RejectLimit, rejectLimitText } from './reject-limit.ts'

export interface Terms {
  /** The content that this one replaces, in hex: it is counted only together with taking that one back. */
  readonly supersedes?: string
  /** The content that could not be counted and that this one mends, in hex. */
  readonly parent?: string
  /** None: what the configuration of whoever reads it says. */
  readonly rejectLines?: RejectLimit
  /** Why, in somebody's words. */
  readonly reason?: string
}

/** As fields of JSON. */
export interface TermsFields {
  readonly supersedes?: unknown
  readonly parent?: unknown
  readonly rejectLines?: unknown
  readonly reason?: unknown
}

export function termsFields(terms: Terms): TermsFields {
  const { supersedes, parent, rejectLines, reason } = terms
  return {
    ...(supersedes === undefined ? {} : { supersedes }),
    ...(parent === undefined ? {} : { parent }),
    ...(rejectLines === undefined ? {} : { rejectLines: rejectLimitText(rejectLines) }),
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
  const { supersedes, parent, rejectLines, reason } = fields
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
  if (reason !== undefined) {
    if (typeof reason !== 'string' || [...reason].length > REASON_CHARACTERS_MAX) {
      throw invalid(`reason must be a text of at most ${REASON_CHARACTERS_MAX} characters`)
    }
    terms.reason = reason
  }
  return Object.keys(terms).length === 0 ? undefined : terms
}
