import { parseRejectLimit } from '../../shared/reject-limit.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { parseUsedAt, type Terms, USED_AT_ALLOWED } from '../../shared/terms.ts'
import { usage } from '../terminal/index.ts'

/** What may be asked for with a publication, as text. */
interface Asked {
  readonly rejectLines: string | undefined
  readonly parent: string | undefined
  readonly usedAt: string | undefined
}

/**
 * @param called what whoever asks calls each of them.
 * @returns undefined: nothing is asked for.
 * @throws CountersinkError USAGE
 */
export function termsAsked(
  { rejectLines, parent, usedAt }: Asked,
  called: { readonly [Name in keyof Asked]: string },
): Terms | undefined {
  const limit = rejectLines === undefined ? undefined : parseRejectLimit(rejectLines)
  if (rejectLines !== undefined && limit === undefined) {
    const { allowed } = SETTINGS.rejectLines
    throw usage(`${called.rejectLines} must be ${allowed}; got ${JSON.stringify(rejectLines)}`)
  }
  if (parent !== undefined && !(typeof parent === 'string' && /^[0-9a-fA-F]{64}$/.test(parent))) {
    throw usage(
      `${called.parent} must be the 64 hex digits of a SHA-256; got ${JSON.stringify(parent)}`,
    )
  }
  const usedAtMs = usedAtOf(usedAt, called.usedAt)
  if (limit === undefined && parent === undefined && usedAtMs === undefined) return undefined
  return {
    ...(limit === undefined ? {} : { rejectLines: limit }),
    ...(parent === undefined ? {} : { parent: parent.toLowerCase() }),
    ...(usedAtMs === undefined ? {} : { usedAtMs }),
  }
}

/** @throws CountersinkError USAGE */
export function usedAtOf(text: string | undefined, called: string): number | undefined {
  if (text === undefined) return undefined
  const usedAtMs = parseUsedAt(text)
  if (usedAtMs !== undefined) return usedAtMs
  throw usage(`${called} must be ${USED_AT_ALLOWED}; got ${JSON.stringify(text)}`)
}
