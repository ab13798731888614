/**
 * Decimal numbers as text, written straight into memory.
 *
 * A number below ten million is cut into thousands (up to four digits) and the rest (three digits and
 * the character behind the number): one table lookup and one 32-bit store each. Each store writes
 * four bytes, whatever it needs, and the next begins where the text really ends. There is no branch on
 * the number of digits, which for amounts of all sizes could not be predicted. Digits from a table are
 * an old trick (A. Alexandrescu, "Three Optimization Tips for C++", 2012); the rest is to give the
 * terminator its place in the table and the length a table of its own.
 */

/** Numbers must be below this; 2^40 has 13 digits, so the largest consumer is well below. */
const SMALL_END = 10_000_000
/** The longest text of a number up to 2^40, with the character behind it. */
export const NUMBER_BYTES_MAX = 14
/** Up to so many bytes behind the text are scribbled on: there must be room. */
export const SCRIBBLE_BYTES = 4

/** The numbers 1…9999 left-aligned in a little-endian word; nothing for 0. */
const LEFT = new Int32Array(10_000)
const LEFT_BYTES = new Uint8Array(10_000)
/** The numbers 0…9999 with leading zeros. */
const FULL = new Int32Array(10_000)
for (let n = 0; n < 10_000; n += 1) {
  FULL[n] = Buffer.from(String(n).padStart(4, '0')).readInt32LE()
  if (n === 0) continue
  LEFT[n] = Buffer.from(String(n).padEnd(4, '0')).readInt32LE()
  LEFT_BYTES[n] = String(n).length
}

// The numbers 0…999 and what ends them: from 0 on as they are, from 1000 on with leading zeros.
const THEN_SPACE = new Int32Array(2_000)
const THEN_LINE_END = new Int32Array(2_000)
/** The length of either. */
const THEN_BYTES = new Uint8Array(2_000)
for (let n = 0; n < 1_000; n += 1) {
  const short = String(n)
  const full = short.padStart(3, '0')
  THEN_SPACE[n] = Buffer.from(`${short} `.padEnd(4)).readInt32LE()
  THEN_SPACE[1_000 + n] = Buffer.from(`${full} `).readInt32LE()
  THEN_LINE_END[n] = Buffer.from(`${short}\n`.padEnd(4)).readInt32LE()
  THEN_LINE_END[1_000 + n] = Buffer.from(`${full}\n`).readInt32LE()
  THEN_BYTES[n] = short.length + 1
  THEN_BYTES[1_000 + n] = 4
}

/** Writes a whole number from 0 to 2^40 and a space, and returns where they end. */
export function writeConsumer(view: DataView, at: number, consumer: number): number {
  if (consumer >= SMALL_END) return writeLargeConsumer(view, at, consumer)
  const value = consumer | 0
  const thousands = (value / 1_000) | 0
  view.setInt32(at, LEFT[thousands]!, true)
  const middle = at + LEFT_BYTES[thousands]!
  const rest = restIndex(value, thousands)
  view.setInt32(middle, THEN_SPACE[rest]!, true)
  return middle + THEN_BYTES[rest]!
}

/** Writes a whole number from 0 to 9,999,999 and a line end, and returns where they end. */
export function writeAmount(view: DataView, at: number, amount: number): number {
  const thousands = (amount / 1_000) | 0
  view.setInt32(at, LEFT[thousands]!, true)
  const middle = at + LEFT_BYTES[thousands]!
  const rest = restIndex(amount, thousands)
  view.setInt32(middle, THEN_LINE_END[rest]!, true)
  return middle + THEN_BYTES[rest]!
}

/** The sign of -thousands, as a mask: with thousands before it, the rest has leading zeros. */
function restIndex(value: number, thousands: number): number {
  return value - thousands * 1_000 + ((-thousands >> 31) & 1_000)
}

function writeLargeConsumer(view: DataView, at: number, consumer: number): number {
  const high = Math.floor(consumer / SMALL_END)
  const low = (consumer - high * SMALL_END) | 0
  const end = writeHigh(view, at, high | 0)
  const thousands = (low / 1_000) | 0
  view.setInt32(end, FULL[thousands]!, true)
  view.setInt32(end + 4, THEN_SPACE[1_000 + low - thousands * 1_000]!, true)
  return end + 8
}

/** 1…109,951 (2^40 without its last seven digits), with nothing behind it. */
function writeHigh(view: DataView, at: number, value: number): number {
  const upper = (value / 10_000) | 0
  view.setInt32(at, LEFT[upper]!, true)
  const middle = at + LEFT_BYTES[upper]!
  const lower = value - upper * 10_000
  view.setInt32(middle, upper === 0 ? LEFT[lower]! : FULL[lower]!, true)
  return middle + (upper === 0 ? LEFT_BYTES[lower]! : 4)
}
