/**
 * Bytes into rows: two passes over a block of at most BLOCK_BYTES.
 *
 *     line   = number SP number [ CR ] LF
 *     number = 1*20 DIGIT            ; value <= 18446744073709551615, leading zeros allowed
 *
 * The first pass notes where all bytes stand that are no digits, 64 bytes a step and without
 * looking at what they are. The second takes them two by two: in good lines every other one is a
 * space, and every other one a line feed. (The two stages of simdjson: Langdale and Lemire,
 * "Parsing Gigabytes of JSON per Second", 2019.)
 */

import { BLOCK_BYTES, rows } from './staging'

const SPACE: u32 = 0x20
const LF: u32 = 0x0a
const CR: u32 = 0x0d

/** Addresses of the bytes that are no digits. A step may note a few too many behind them. */
const marks: usize = memory.data(BLOCK_BYTES * 4 + 128, 64)
/** Where the line begins that `parseLines` did not take. */
export let lineStart: usize = 0

/**
 * Notes the addresses of all bytes in [start, end) that are no digits; returns how many.
 * Reads up to 63 bytes behind `end`.
 */
export function markLines(start: usize, end: usize): u32 {
  let at = marks
  for (let from = start; from < end; from += 64) {
    let bits =
      notDigits(from) |
      (notDigits(from + 16) << 16) |
      (notDigits(from + 32) << 32) |
      (notDigits(from + 48) << 48)
    if (end - from < 64) bits &= ((<u64>1) << <u64>(end - from)) - 1
    const next = at + <usize>(popcnt(bits) << 2)
    // How many there are differs from step to step and would be mispredicted: as many as
    // 64 bytes of common lines have are noted always, and those that are none overwritten by the
    // next step. (ctz(0) is 64.)
    for (;;) {
      bits = mark(at, from, bits)
      bits = mark(at + 4, from, bits)
      bits = mark(at + 8, from, bits)
      bits = mark(at + 12, from, bits)
      bits = mark(at + 16, from, bits)
      bits = mark(at + 20, from, bits)
      bits = mark(at + 24, from, bits)
      bits = mark(at + 28, from, bits)
      bits = mark(at + 32, from, bits)
      bits = mark(at + 36, from, bits)
      bits = mark(at + 40, from, bits)
      bits = mark(at + 44, from, bits)
      if (bits == 0) break
      at += 48
    }
    at = next
  }
  return <u32>((at - marks) >> 2)
}

/** Bit i: the byte at `from + i` is no digit. Adding 80 makes the digits the ten least i8. */
// @ts-ignore: decorator
@inline
function notDigits(from: usize): u64 {
  const shifted = i8x16.add(v128.load(from), i8x16.splat(80))
  return <u64>(<u32>i8x16.bitmask(i8x16.gt_s(shifted, i8x16.splat(-119))))
}

// @ts-ignore: decorator
@inline
function mark(at: usize, from: usize, bits: u64): u64 {
  store<u32>(at, <u32>from + <u32>ctz(bits))
  return bits & (bits - 1)
}

/**
 * Stages the whole lines in [start, ...) whose marks are given, up to the first that is bad;
 * returns how many. `lineStart` is then where the next line begins: a cut one, or a bad one if a
 * line feed has been marked behind it.
 */
export function parseLines(start: usize, marked: u32): u32 {
  const end = marks + (<usize>marked << 2)
  let at = marks
  let row = rows
  while (at + 4 < end) {
    const space = <usize>load<u32>(at)
    const stop = <usize>load<u32>(at, 4)
    // Both ends as expected, and both numbers of 1 to 8 digits?
    const isPlain =
      i32((load<u8>(space) ^ SPACE) | (load<u8>(stop) ^ LF)) == 0 &&
      ((<u32>(space - start) - 1) | (<u32>(stop - space) - 2)) < 8
    if (isPlain) {
      v128.store(row, twoNumbers(space, <u32>(space - start), stop, <u32>(stop - space) - 1))
      start = stop + 1
      at += 8
    } else {
      const taken = parseAnyLine(start, at, end, row)
      if (taken == 0) break
      start = <usize>load<u32>(at + taken - 4) + 1
      at += taken
    }
    row += 16
  }
  lineStart = start
  return <u32>((row - rows) >> 4)
}

/**
 * The values of two numbers of 1 to 8 digits that end before these addresses, as two u64.
 */
// @ts-ignore: decorator
@inline
function twoNumbers(endA: usize, digitsA: u32, endB: usize, digitsB: u32): v128 {
  const a = load<u64>(endA - <usize>digitsA) << <u64>(64 - (digitsA << 3))
  const b = load<u64>(endB - <usize>digitsB) << <u64>(64 - (digitsB << 3))
  return valuesOf(a, b)
}

/**
 * The values of two words of digits, as two u64; bytes below `0` count as zeros. Neighbouring digits
 * are joined to numbers of two, these to four, these to eight, all at once.
 */
// @ts-ignore: decorator
@inline
function valuesOf(a: u64, b: u64): v128 {
  const digits = i8x16.sub_sat_u(i64x2.replace_lane(i64x2.splat(a), 1, b), i8x16.splat(0x30))
  const tens = i16x8.mul(v128.and(digits, i16x8.splat(0xff)), i16x8.splat(10))
  const twos = i16x8.add(tens, i16x8.shr_u(digits, 8))
  const fours = i32x4.dot_i16x8_s(twos, i16x8(100, 1, 100, 1, 100, 1, 100, 1))
  const narrow = i16x8.narrow_i32x4_s(fours, fours)
  const eights = i32x4.dot_i16x8_s(narrow, i16x8(10000, 1, 10000, 1, 10000, 1, 10000, 1))
  return i64x2.extend_low_i32x4_u(eights)
}

/** Stages any line; returns how many bytes its marks take, 0 if it is bad or cut. */
function parseAnyLine(start: usize, at: usize, end: usize, row: usize): usize {
  const space = <usize>load<u32>(at)
  let stop = <usize>load<u32>(at, 4)
  let taken: usize = 8
  const idDigits = <u32>(space - start)
  const amountDigits = <u32>(stop - space) - 1
  if (load<u8>(space) != SPACE || idDigits - 1 >= 20 || amountDigits - 1 >= 20) return 0
  const amountEnd = stop
  if (load<u8>(stop) == CR) {
    if (at + 8 >= end || <usize>load<u32>(at, 8) != stop + 1) return 0
    stop += 1
    taken = 12
  }
  if (load<u8>(stop) != LF) return 0
  // The first digits of both numbers at once, or those of the id and all of a short amount.
  const isShort = amountDigits <= 8
  const firsts = valuesOf(
    digitsBefore(space - 16, max(idDigits, 16) - 16),
    isShort
      ? digitsBefore(amountEnd, amountDigits)
      : digitsBefore(amountEnd - 16, max(amountDigits, 16) - 16),
  )
  const idFirst = <u64>i64x2.extract_lane(firsts, 0)
  const idLast = lastSixteen(space, idDigits)
  let amountFirst = <u64>i64x2.extract_lane(firsts, 1)
  if (!isShort) {
    const amountLast = lastSixteen(amountEnd, amountDigits)
    if (!isU64(amountFirst, amountLast)) return 0
    amountFirst = amountFirst * TEN_16 + amountLast
  }
  if (!isU64(idFirst, idLast)) return 0
  store<u64>(row, idFirst * TEN_16 + idLast)
  store<u64>(row, amountFirst, 8)
  return taken
}

const TEN_8: u64 = 100000000
const TEN_16: u64 = TEN_8 * TEN_8

/** Whether a number is at most 2^64 - 1 = 1844 6744073709551615, from all digits but 16, and these. */
// @ts-ignore: decorator
@inline
function isU64(first: u64, last: u64): bool {
  return first < 1844 || (first == 1844 && last <= 6744073709551615)
}

/** The value of the last 16 digits of a number, or of all if it has fewer. */
// @ts-ignore: decorator
@inline
function lastSixteen(end: usize, digits: u32): u64 {
  const low = min(digits, 8)
  const high = min(digits - low, 8)
  const both = valuesOf(digitsBefore(end - 8, high), digitsBefore(end, low))
  return <u64>i64x2.extract_lane(both, 0) * TEN_8 + <u64>i64x2.extract_lane(both, 1)
}

/** The 0 to 8 digits before `end` as a word; what stands before them is zero. */
// @ts-ignore: decorator
@inline
function digitsBefore(end: usize, digits: u32): u64 {
  // Twice by the half: to shift by 64 at once would be to shift by nothing.
  const half = <u64>(32 - (digits << 2))
  return (load<u64>(end - <usize>digits) << half) << half
}
