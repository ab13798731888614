/**
 * All sums by ascending id: the table's entries are sorted where they stand, the window is in order
 * as it is, and both are read out together in chunks. The table cannot be added to any more then,
 * only emptied.
 */

import {
  capacity,
  compact,
  entries,
  groupsUsed,
  table,
  windowBase,
  windowSize,
  windowSums,
  zeroBits,
  zeroEntry,
} from './table'

/** Pairs that are handed out at once. */
export const CHUNK_PAIRS: u32 = 16384
export const chunkIds: usize = memory.data(CHUNK_PAIRS * 8, 64)
export const chunkAmounts: usize = memory.data(CHUNK_PAIRS * 8, 64)

/** Ids are sorted by so many bits at a time: six passes for 64. */
const DIGIT_BITS: u64 = 11
const DIGITS: u64 = 6
const DIGIT_MASK: u64 = (1 << DIGIT_BITS) - 1
const COUNTS_BYTES: usize = 4 << <usize>DIGIT_BITS
/** How often each value of each digit occurs; later, where the next one goes. */
const counts: usize = memory.data(6 * (4 << 11), 64)

/** The next entry to be read, and the end of them. */
let next: usize = 0
let nextEnd: usize = 0
let zeroIsNext: bool = false
let nextGroup: usize = 0

/** To be called before `nextChunk`. */
export function sort(): void {
  compact()
  const bytes = <usize>entries << 4
  // The table is at most half full: its second half is the other place that sorting needs.
  next = radixSort(table, table + (<usize>(capacity >> 1) << 4), bytes)
  nextEnd = next + bytes
  zeroIsNext = load<u64>(zeroEntry) == 0
  nextGroup = 0
}

/** Sorts by one digit of the id after the other, the lowest first; returns where the result is. */
function radixSort(from: usize, to: usize, bytes: usize): usize {
  memory.fill(counts, 0, <usize>DIGITS * COUNTS_BYTES)
  const first = load<u64>(from)
  let differing: u64 = 0
  for (let at = from; at < from + bytes; at += 16) {
    const id = load<u64>(at)
    differing |= id ^ first
    for (let digit: u64 = 0; digit < DIGITS; digit++) {
      const count = countOf(id, digit)
      store<u32>(count, load<u32>(count) + 1)
    }
  }
  for (let digit: u64 = 0; digit < DIGITS; digit++) {
    // Mostly ids have leading zeros in common.
    if (((differing >> (digit * DIGIT_BITS)) & DIGIT_MASK) == 0) continue
    const places = counts + <usize>digit * COUNTS_BYTES
    let place = to
    for (let at = places; at < places + COUNTS_BYTES; at += 4) {
      const count = load<u32>(at)
      store<u32>(at, <u32>place)
      place += <usize>count << 4
    }
    for (let at = from; at < from + bytes; at += 16) {
      const placeAt = countOf(load<u64>(at), digit)
      const place = <usize>load<u32>(placeAt)
      store<u32>(placeAt, <u32>(place + 16))
      v128.store(place, v128.load(at))
    }
    const swapped = from
    from = to
    to = swapped
  }
  return from
}

// @ts-ignore: decorator
@inline
function countOf(id: u64, digit: u64): usize {
  const value = <usize>((id >> (digit * DIGIT_BITS)) & DIGIT_MASK)
  return counts + <usize>digit * COUNTS_BYTES + (value << 2)
}

/** Writes the next pairs to `chunkIds` and `chunkAmounts`; returns how many, 0 at the end. */
export function nextChunk(): u32 {
  let count: usize = 0
  if (zeroIsNext) {
    zeroIsNext = false
    store<u64>(chunkIds, 0)
    store<u64>(chunkAmounts, load<u64>(zeroEntry, 8))
    count = 1
  }
  count = takeEntries(count, windowBase)
  if (next < nextEnd && load<u64>(next) < windowBase) return <u32>count
  const groups = <usize>(windowSize >> 6)
  for (; nextGroup < groups; nextGroup++) {
    // Eight at once; behind the last one there is room before the table, and it is zero.
    if ((nextGroup & 7) == 0 && load<u64>(groupsUsed + nextGroup) == 0) {
      nextGroup += 7
      continue
    }
    if (load<u8>(groupsUsed + nextGroup) == 0) continue
    if (count + 64 > <usize>CHUNK_PAIRS) return <u32>count
    count = takeGroup(count, nextGroup)
  }
  return <u32>takeEntries(count, u64.MAX_VALUE)
}

/** Takes entries of ids up to this one. */
function takeEntries(count: usize, last: u64): usize {
  while (next < nextEnd && count < <usize>CHUNK_PAIRS) {
    const id = load<u64>(next)
    if (id > last) break
    store<u64>(chunkIds + (count << 3), id)
    store<u64>(chunkAmounts + (count << 3), load<u64>(next, 8))
    next += 16
    count += 1
  }
  return count
}

function takeGroup(count: usize, group: usize): usize {
  const bits = load<u64>(zeroBits + (group << 3))
  const sums = windowSums + (group << 9)
  const firstId = windowBase + (<u64>group << 6)
  for (let i: usize = 0; i < 64; i++) {
    const sum = load<u64>(sums + (i << 3))
    store<u64>(chunkIds + (count << 3), firstId + <u64>i)
    store<u64>(chunkAmounts + (count << 3), sum)
    // Overwritten by the next one if there is nothing here.
    count += <usize>(sum != 0 || ((bits >> <u64>i) & 1) != 0)
  }
  return count
}
