/**
 * Decimal digits of unsigned 64-bit numbers, written as bytes from two 32-bit halves. Exact: every
 * intermediate result is an integer below 2^53. Nothing is allocated, so a million numbers leave
 * nothing behind for the garbage collector.
 */

const ASCII_0 = 48
/** A group of nine digits fits a signed 32-bit integer, in which a division by ten is cheap. */
const GROUP = 1_000_000_000
const GROUP_DIGITS = 9
const HALF = 65_536
const WORD = HALF * HALF

/** The digits of 2^64 − 1. */
export const U64_DIGITS = 20

/** How many decimal digits the number of these halves has; 1 for zero. */
export function digitsOf(high: number, low: number): number {
  return String((BigInt(high) << 32n) | BigInt(low)).length
}

/**
 * Writes the number of these halves as `width` digits, with leading zeros, from `at` on.
 * `width` must be at least `digitsOf` the number, and at most `U64_DIGITS`.
 */
export function writeDigits(
  bytes: Uint8Array,
  at: number,
  width: number,
  high: number,
  low: number,
): void {
  let top = 0
  let middle: number
  let bottom: number
  if (high === 0) {
    middle = Math.floor(low / GROUP)
    bottom = low - middle * GROUP
  } else {
    // Long division by 10^9, 16 bits at a time: a rest below 10^9 and 16 bits make less than 2^46.
    const upper = Math.floor(high / GROUP)
    const first = (high - upper * GROUP) * HALF + (low >>> 16)
    const second = Math.floor(first / GROUP)
    const last = (first - second * GROUP) * HALF + (low & 0xffff)
    const third = Math.floor(last / GROUP)
    bottom = last - third * GROUP
    const quotient = upper * WORD + second * HALF + third
    top = Math.floor(quotient / GROUP)
    middle = quotient - top * GROUP
  }
  const end = at + width
  const middleEnd = Math.max(at, end - GROUP_DIGITS)
  const topEnd = Math.max(at, middleEnd - GROUP_DIGITS)
  writeGroup(bytes, middleEnd, end, bottom)
  writeGroup(bytes, topEnd, middleEnd, middle)
  writeGroup(bytes, at, topEnd, top)
}

function writeGroup(bytes: Uint8Array, from: number, to: number, group: number): void {
  let left = group | 0
  for (let at = to - 1; at >= from; at -= 1) {
    const tenth = (left / 10) | 0
    bytes[at] = ASCII_0 + left - tenth * 10
    left = tenth
  }
}
