/**
 * A packed block (parser/sums/block-format.ts) back into pairs. It may be anything: each group is
 * found to end within the block before its fields are read, and how often anything is done follows
 * from the number of pairs, not from the block. A load of 8 bytes may reach behind the block; what it
 * finds there is never looked at.
 */

import { fieldBytes, GROUP_PAIRS, PACKED_FORMAT, PACKED_HEADER_BYTES } from './pack'

// What is wrong with a block; the same numbers stand in parser/sums/block-format.ts.
export const NOTHING: u32 = 0
export const FORMAT: u32 = 1
const SHORT: u32 = 2
export const LONG: u32 = 3
const WIDTH: u32 = 4
const LEAST: u32 = 5
const PADDING: u32 = 6
export const ORDER: u32 = 7
export const OVERFLOW: u32 = 8

/** Fields of up to so many bits are in the 8 bytes that begin with their first bit's. */
const NARROW_BITS: u64 = 56

/** Where a block is put; readable for 8 bytes more. */
export const blockToUnpack: usize = memory.data(16000 + 8, 64)

export let unpackedFirstId: u64 = 0
export let unpackedLastId: u64 = 0
export let unpackedAmountLow: u64 = 0
export let unpackedAmountHigh: u64 = 0

/** Where the block ends, and where its next byte is. */
let end: usize = 0
let at: usize = 0

/** Of the group whose beginning was read last: its widths, its least amount, and where its fields are. */
export let gapWidth: u64 = 0
export let amountWidth: u64 = 0
export let least: u64 = 0
export let gapsAt: usize = 0
export let amountsAt: usize = 0
let next: usize = 0

/**
 * Unpacks the block of so many bytes, which is to have so many pairs, to `ids` and `amounts`.
 * Returns what is wrong; if anything is, what was unpacked means nothing.
 */
export function unpack(bytes: usize, pairs: u32, ids: usize, amounts: usize): u32 {
  if (!beginBlock(bytes)) return FORMAT
  unpackedLastId = unpackedFirstId - 1
  unpackedAmountLow = 0
  unpackedAmountHigh = 0
  for (let done: u32 = 0; done < pairs; done += GROUP_PAIRS) {
    const offset = <usize>done << 3
    const count = min(pairs - done, GROUP_PAIRS)
    const wrong = unpackGroup(count, ids + offset, amounts + offset, done == 0)
    if (wrong != NOTHING) return wrong
  }
  return isAtEnd() ? NOTHING : LONG
}

/** False: there is no block of this format. */
export function beginBlock(bytes: usize): bool {
  at = blockToUnpack
  end = at + bytes
  if (bytes < PACKED_HEADER_BYTES || load<u8>(at) != PACKED_FORMAT) return false
  unpackedFirstId = load<u64>(at, 1)
  at += PACKED_HEADER_BYTES
  return true
}

export function isAtEnd(): bool {
  return at == end
}

/** Reads the beginning of the next group, and goes behind the group. Returns what is wrong. */
export function beginGroup(count: u32): u32 {
  if (end - at < 2) return SHORT
  gapWidth = <u64>load<u8>(at)
  amountWidth = <u64>load<u8>(at, 1)
  if (gapWidth > 64 || amountWidth > 64) return WIDTH
  at += 2
  const wrong = readLeast()
  if (wrong != NOTHING) return wrong
  gapsAt = at
  amountsAt = gapsAt + fieldBytes(count, gapWidth)
  next = amountsAt + fieldBytes(count, amountWidth)
  if (next > end) return SHORT
  if (hasRest(amountsAt, count, gapWidth) || hasRest(next, count, amountWidth)) return PADDING
  at = next
  return NOTHING
}

function unpackGroup(count: u32, ids: usize, amounts: usize, isFirst: bool): u32 {
  const wrong = beginGroup(count)
  if (wrong != NOTHING) return wrong
  if (!unpackIds(gapsAt, count, gapWidth, ids, isFirst)) return ORDER
  if (!unpackAmounts(amountsAt, count, amountWidth, amounts)) return OVERFLOW
  return NOTHING
}

function readLeast(): u32 {
  let number: u64 = 0
  for (let shift: u64 = 0; ; shift += 7) {
    if (at == end) return SHORT
    const byte = <u64>load<u8>(at++)
    if ((shift == 63 && byte > 1) || (byte == 0 && shift > 0)) return LEAST
    number |= (byte & 127) << shift
    if (byte > 127) continue
    least = number
    return NOTHING
  }
}

/** Whether there is anything between the last field and the byte's end at `end`. */
// @ts-ignore: decorator
@inline
function hasRest(end: usize, count: u32, width: u64): bool {
  const used = (<u64>count * width) & 7
  return used != 0 && load<u8>(end - 1) >> <u8>used != 0
}

/** False: they do not ascend from the block's first id. */
function unpackIds(from: usize, count: u32, width: u64, ids: usize, isFirst: bool): bool {
  const before = unpackedLastId
  let id = before
  const idsEnd = ids + (<usize>count << 3)
  let ascends = true
  if (width == 0) {
    for (let to = ids; to < idsEnd; to += 8) store<u64>(to, ++id)
  } else if (width <= NARROW_BITS) {
    const mask = ((<u64>1) << width) - 1
    let bit: u64 = 0
    for (let to = ids; to < idsEnd; to += 8) {
      id += ((load<u64>(from + <usize>(bit >> 3)) >> (bit & 7)) & mask) + 1
      store<u64>(to, id)
      bit += width
    }
  } else {
    let bit: u64 = 0
    for (let to = ids; to < idsEnd; to += 8) {
      const last = id
      id += wideField(from, bit, width) + 1
      // Of the block's first pair the gap is checked, below.
      if (id <= last && !(isFirst && to == ids)) ascends = false
      store<u64>(to, id)
      bit += width
    }
  }
  unpackedLastId = id
  // Gaps of up to 56 bits add up to at most 2^63: had an id passed 2^64, the last one would be small.
  if (!isFirst) return ascends && id > before
  return ascends && load<u64>(ids) == unpackedFirstId && id >= unpackedFirstId
}

/** False: one of them passes 2^64 - 1. */
function unpackAmounts(from: usize, count: u32, width: u64, amounts: usize): bool {
  const lowest = least
  const amountsEnd = amounts + (<usize>count << 3)
  if (width == 0) {
    for (let to = amounts; to < amountsEnd; to += 8) store<u64>(to, lowest)
    addTimes(lowest, count)
    return true
  }
  let bit: u64 = 0
  if (width <= NARROW_BITS) {
    const mask = ((<u64>1) << width) - 1
    if (lowest <= u64.MAX_VALUE - mask) {
      let sum: u64 = 0
      for (let to = amounts; to < amountsEnd; to += 8) {
        const more = (load<u64>(from + <usize>(bit >> 3)) >> (bit & 7)) & mask
        sum += more
        store<u64>(to, lowest + more)
        bit += width
      }
      addTimes(lowest, count)
      add(sum)
      return true
    }
  }
  for (let to = amounts; to < amountsEnd; to += 8) {
    const amount = lowest + wideField(from, bit, width)
    if (amount < lowest) return false
    add(amount)
    store<u64>(to, amount)
    bit += width
  }
  return true
}

/** A field of 1 to 64 bits, which may reach into a ninth byte. */
// @ts-ignore: decorator
@inline
export function wideField(from: usize, bit: u64, width: u64): u64 {
  const byte = from + <usize>(bit >> 3)
  const shift = bit & 7
  // In two shifts: one by 64 would shift by nothing.
  const upper = (<u64>load<u8>(byte, 8) << 1) << (63 - shift)
  return ((load<u64>(byte) >> shift) | upper) & (u64.MAX_VALUE >> (64 - width))
}

function add(number: u64): void {
  unpackedAmountLow += number
  unpackedAmountHigh += <u64>(unpackedAmountLow < number)
}

function addTimes(number: u64, count: u32): void {
  const low = (number & 0xffffffff) * <u64>count
  const high = (number >> 32) * <u64>count
  add(low)
  add(high << 32)
  unpackedAmountHigh += high >> 32
}
