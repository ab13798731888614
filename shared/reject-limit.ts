/** How many bad lines of a file are put aside, so that the others are counted all the same. */
export type RejectLimit =
  | { readonly kind: 'lines'; readonly count: number }
  /** Of all lines, good and bad. */
  | { readonly kind: 'share'; readonly millionths: number }

/** Any bad line quarantines its file. */
export const REJECT_NONE: RejectLimit = { kind: 'lines', count: 0 }

/** @returns undefined: the text is neither `N` nor `P%`, from 0 to 100 with at most four decimals. */
export function parseRejectLimit(text: string): RejectLimit | undefined {
  const [, whole, decimals, percent] = /^(\d{1,15})(?:\.(\d{1,4}))?(%?)$/.exec(text) ?? []
  if (whole === undefined) return undefined
  if (percent !== '%') {
    return decimals === undefined ? { kind: 'lines', count: Number(whole) } : undefined
  }
  const millionths = Number(whole) * MILLIONTHS_PERCENT + Number((decimals ?? '').padEnd(4, '0'))
  return millionths <= 100 * MILLIONTHS_PERCENT ? { kind: 'share', millionths } : undefined
}

export function rejectLimitText(limit: RejectLimit): string {
  if (limit.kind === 'lines') return String(limit.count)
  const decimals = String(limit.millionths % MILLIONTHS_PERCENT).padStart(4, '0')
  const text = `${Math.floor(limit.millionths / MILLIONTHS_PERCENT)}.${decimals}`
  return `${text.replace(/\.?0+$/, '')}%`
}

const MILLIONTHS_PERCENT = 10_000
