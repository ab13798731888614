/** The few numbers that a repeated measurement is told by. */

export interface Spread {
  readonly count: number
  readonly min: number
  readonly median: number
  readonly max: number
  /** (max − min) / median: how noisy the machine was. 0 for a single value. */
  readonly noise: number
}

/** @throws Error when there are no values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = ascending(values)
  const min = sorted[0]!
  const max = sorted[sorted.length - 1]!
  const median = medianOf(sorted)
  return { count: sorted.length, min, median, max, noise: median === 0 ? 0 : (max - min) / median }
}

/** The middle value, or the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = ascending(values)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The smallest value that at least this share (0…1) of all values does not exceed: nearest rank. */
export function percentileOf(values: readonly number[], share: number): number {
  const sorted = ascending(values)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

/** Least squares: how much `y` changes for one of `x`. 0 when all `x` are alike. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length
  let products = 0
  let squares = 0
  for (const { x, y } of points) {
    products += (x - meanX) * (y - meanY)
    squares += (x - meanX) ** 2
  }
  return squares === 0 ? 0 : products / squares
}

function ascending(values: readonly number[]): number[] {
  if (values.length === 0) throw new Error('there is nothing to take a statistic of')
  return [...values].sort((a, b) => a - b)
}
