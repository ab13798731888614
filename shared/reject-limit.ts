/** How many bad lines of a file are put aside, so that the others are counted all the same. */
export type RejectLimit =
  | { readonly kind: 'lines'; readonly count: number }
  /** Of all lines, good and bad. */
  | { readonly kind: 'share'; readonly millionths: number }

/** Any bad line quarantines its file. */
export const REJECT_NONE: RejectLimit = { kind: 'lines', count: 0 }

/** What it looks like; whether a share is at most 100% is seen when it is read. */
export const REJECT_LIMIT_PATTERN = String.raw`^\d{1,15}(\.\d{1,4})?%?$`

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

/** Whether any bad line is put aside at all. */
export function mayReject(limit: RejectLimit): boolean {
  return (limit.kind === 'lines' ? limit.count : limit.millionths) > 0
}

/** What was put aside of a file, or of its beginning. */
export interface Rejected {
  readonly lines: number
  /** Theirs, with their line ends: together with those of the good lines all there are. */
  readonly bytes: number
}

export const NOTHING_REJECTED: Rejected = { lines: 0, bytes: 0 }

/** Whether more lines are bad than may be, of so many, good and bad. */
export function isOverLimit(limit: RejectLimit, rejectedLines: number, allLines: number): boolean {
  if (limit.kind === 'lines') return rejectedLines > limit.count
  return BigInt(rejectedLines) * MILLION > BigInt(limit.millionths) * BigInt(allLines)
}

/**
 * Whether it is that already, whatever is in the rest of the file: all of it may be good lines, of
 * which none is shorter than `1 2` and a line feed.
 */
export function isSurelyOver(limit: RejectLimit, rejected: Rejected, sizeBytes: number): boolean {
  const goodLinesMax = Math.floor((sizeBytes - rejected.bytes) / GOOD_LINE_BYTES_MIN) + 1
  return isOverLimit(limit, rejected.lines, rejected.lines + goodLinesMax)
}

const MILLION = 1_000_000n
const GOOD_LINE_BYTES_MIN = 4
