/**
 * Whole numbers as ASCII, four digits at a time from a table, straight into a buffer. Up to three
 * bytes behind a number's end are scribbled on.
 */

// 0…9999 as little-endian words: left-aligned, and with leading zeros.
const LEFT = new Int32Array(10_000)
const FULL = new Int32Array(10_000)
const DIGITS = new Uint8Array(10_000)
for (let n = 0; n < 10_000; n += 1) {
  LEFT[n] = Buffer.from(String(n).padEnd(4, '0')).readInt32LE()
  FULL[n] = Buffer.from(String(n).padStart(4, '0')).readInt32LE()
  DIGITS[n] = String(n).length
}

/** Writes a whole number below 10^12 at `at`; returns where it ends. */
export function writeNumber(view: DataView, at: number, value: number): number {
  if (value < 10_000) {
    view.setInt32(at, LEFT[value]!, true)
    return at + DIGITS[value]!
  }
  const high = Math.floor(value / 10_000)
  const end = writeNumber(view, at, high)
  view.setInt32(end, FULL[value - high * 10_000]!, true)
  return end + 4
}

/** Writes a whole number below 10^9 with leading zeros, nine digits. */
export function writeNineDigits(view: DataView, at: number, value: number): number {
  const high = Math.floor(value / 1e8)
  const low = value - high * 1e8
  const lowHigh = Math.floor(low / 10_000)
  view.setUint8(at, 0x30 + high)
  view.setInt32(at + 1, FULL[lowHigh]!, true)
  view.setInt32(at + 5, FULL[low - lowHigh * 10_000]!, true)
  return at + 9
}
