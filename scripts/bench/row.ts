/** One line of the result: a figure, the aim it is held against, and what it was made from. */

/**
 * - `reached`, `missed`: there is an aim, and the figure is on its good or its bad side.
 * - `wrong`: what was computed differs from what it must be; its speed means nothing.
 * - `reported`: a figure without an aim.
 * - `not compared`: what it would be compared with is not installed.
 * - `not measured`: it could not be brought about; the note says why.
 */
export type VerdictWord =
  | 'reached'
  | 'missed'
  | 'wrong'
  | 'reported'
  | 'not compared'
  | 'not measured'

export interface Row {
  /** The section that measured it, as `--only` knows it. */
  readonly section: string
  /** Unique among all rows. */
  readonly name: string
  readonly what: string
  readonly reached: string
  readonly wanted: string
  readonly verdict: VerdictWord
  /** Seconds, bytes, counts, ratios: what the row was made from, units in the names. */
  readonly figures: Readonly<Record<string, Figure>>
  /** A condition that the reader must know. */
  readonly note?: string
}

export type Figure = number | string | readonly number[]

export interface Aim {
  readonly side: 'at most' | 'at least'
  readonly bound: number
  /** How figure and bound are written. @default two digits behind the point */
  readonly write?: (value: number) => string
}

/** The part of a row that follows from figure and aim. */
export function judge(
  value: number,
  { side, bound, write = twoDigits }: Aim,
): Pick<Row, 'reached' | 'wanted' | 'verdict'> {
  const isGood = side === 'at most' ? value <= bound : value >= bound
  return {
    reached: write(value),
    wanted: `${side === 'at most' ? '≤' : '≥'} ${write(bound)}`,
    verdict: isGood ? 'reached' : 'missed',
  }
}

/** `1.47 ×` */
export const times = (value: number): string => `${twoDigits(value)} ×`

export function twoDigits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}

/** `412 MB/s`, in millions of bytes. */
export const megabytesPerSecond = (value: number): string => `${value.toFixed(0)} MB/s`

/** `1 GB`, `8.2 MB`, `4 KB`: decimal, as the aims are. */
export function sizeText(bytes: number): string {
  const [unit, name] = bytes >= 1e9 ? [1e9, 'GB'] : bytes >= 1e6 ? [1e6, 'MB'] : [1e3, 'KB']
  return `${Number((bytes / unit).toPrecision(3))} ${name}`
}

/** Something computed here is not what it must be. */
export class WrongResult extends Error {}

/** @throws WrongResult unless both are the same. */
export function mustEqual(
  what: string,
  found: string | number | bigint,
  expected: string | number | bigint,
): void {
  if (String(found) !== String(expected)) {
    throw new WrongResult(`${what}: found ${found}, expected ${expected}`)
  }
}
