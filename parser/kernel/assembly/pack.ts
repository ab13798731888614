/**
 * Ascending pairs into packed blocks (parser/sums/block-format.ts says what they are), one block
 * after the other in one place.
 *
 * Pairs are taken group by group where they stand. What is less than a group at the end of a
 * portion waits here for the next one, so that blocks do not depend on portions.
 */

export const PACKED_BYTES_MAX: usize = 16000
export const PACKED_PAIRS_MAX: u32 = 8192
export const GROUP_PAIRS: u32 = 128
export const PACKED_FORMAT: u8 = 1
export const PACKED_HEADER_BYTES: usize = 9

/** The block; fields are stored 8 bytes at a time, so a store may end behind it. */
export const packed: usize = memory.data(16000 + 8, 64)
export let packedBytes: usize = 0
export let packedPairs: u32 = 0
export let packedFirstId: u64 = 0
export let packedLastId: u64 = 0
/** Of the block's pairs. */
export let packedAmountLow: u64 = 0
export let packedAmountHigh: u64 = 0

/** Where pairs go first that are not in this memory: so many at once. */
export const GIVEN_PAIRS: u32 = 4096
export const givenIds: usize = memory.data(GIVEN_PAIRS * 8, 64)
export const givenAmounts: usize = memory.data(GIVEN_PAIRS * 8, 64)

// What `packState` is; the same numbers stand in block-encoder.ts.
/** There is room for more pairs. */
const OPEN: u32 = 0
/** The block is finished: it is here until the next call. */
const READY: u32 = 1
/** An id is not greater than the one before it: nothing can be packed any more. */
const UNORDERED: u32 = 2
export let packState: u32 = OPEN

/** Pairs that wait until there is a group of them. */
const waitingIds: usize = memory.data(GROUP_PAIRS * 8, 64)
const waitingAmounts: usize = memory.data(GROUP_PAIRS * 8, 64)
let waiting: u32 = 0
/** Whether a block came before: then `packedLastId` is its last. */
let isLater: bool = false

// What `measure` has found; of each pair its gap.
const gaps: usize = memory.data(GROUP_PAIRS * 8, 64)
let gapWidth: u64 = 0
let amountWidth: u64 = 0
let least: u64 = 0
let groupLow: u64 = 0
let groupHigh: u64 = 0

export function beginPacking(): void {
  waiting = 0
  isLater = false
  packState = OPEN
  emptyBlock()
}

function emptyBlock(): void {
  packedBytes = 0
  packedPairs = 0
  packedAmountLow = 0
  packedAmountHigh = 0
}

/** Takes pairs until a block is READY or all are taken; returns how many it took. */
export function pack(ids: usize, amounts: usize, count: u32): u32 {
  goOn()
  let taken: u32 = 0
  while (packState == OPEN) {
    if (waiting == 0 && count - taken >= GROUP_PAIRS) {
      const at = <usize>taken << 3
      taken += append(ids + at, amounts + at, GROUP_PAIRS)
      continue
    }
    const at = <usize>taken << 3
    const more = min(GROUP_PAIRS - waiting, count - taken)
    const to = <usize>waiting << 3
    memory.copy(waitingIds + to, ids + at, <usize>more << 3)
    memory.copy(waitingAmounts + to, amounts + at, <usize>more << 3)
    waiting += more
    taken += more
    if (waiting < GROUP_PAIRS) break
    appendWaiting()
  }
  return taken
}

/** Packs what still waits. To be called again as long as a block is READY. */
export function packRest(): void {
  goOn()
  while (packState == OPEN && waiting > 0) appendWaiting()
  if (packState == OPEN && packedPairs > 0) packState = READY
}

/** The block that was READY has been taken. */
function goOn(): void {
  if (packState != READY) return
  isLater = true
  packState = OPEN
  emptyBlock()
}

function appendWaiting(): void {
  const appended = append(waitingIds, waitingAmounts, waiting)
  waiting -= appended
  const at = <usize>appended << 3
  memory.copy(waitingIds, waitingIds + at, <usize>waiting << 3)
  memory.copy(waitingAmounts, waitingAmounts + at, <usize>waiting << 3)
}

/** Appends as many of these pairs as fit: fewer than all only if the block is READY then. */
function append(ids: usize, amounts: usize, count: u32): u32 {
  if (packedPairs == 0) {
    const first = load<u64>(ids)
    if (isLater && first <= packedLastId) {
      packState = UNORDERED
      return 0
    }
    packedFirstId = first
    packedLastId = first - 1
    store<u8>(packed, PACKED_FORMAT)
    store<u64>(packed, first, 1)
    packedBytes = PACKED_HEADER_BYTES
  }
  if (!measure(ids, amounts, count)) {
    packState = UNORDERED
    return 0
  }
  const room = PACKED_BYTES_MAX - packedBytes
  if (groupBytes(count, gapWidth, amountWidth, least) > room) {
    packState = READY
    count = fitting(ids, amounts, count, room)
    if (count == 0) return 0
    measure(ids, amounts, count)
  }
  let at = packed + packedBytes
  store<u8>(at, <u8>gapWidth)
  store<u8>(at, <u8>amountWidth, 1)
  at = writeVarint(at + 2, least)
  if (gapWidth > 0) at = writeFields(at, gaps, count, gapWidth, 0)
  if (amountWidth > 0) at = writeFields(at, amounts, count, amountWidth, least)
  packedBytes = at - packed
  packedPairs += count
  packedLastId = load<u64>(ids + (<usize>(count - 1) << 3))
  packedAmountLow += groupLow
  packedAmountHigh += groupHigh + <u64>(packedAmountLow < groupLow)
  if (packedPairs == PACKED_PAIRS_MAX) packState = READY
  return count
}

/**
 * Looks at a group that comes next, mostly two pairs at a time, and leaves its gaps in `gaps`. False:
 * its ids do not ascend.
 */
function measure(ids: usize, amounts: usize, count: u32): bool {
  const bytes = <usize>count << 3
  // There are only signed comparisons: they serve with the highest bits turned over.
  const turned = i64x2.splat(i64.MIN_VALUE)
  let anyGap = i64x2.splat(0)
  let lowest = i64x2.splat(i64.MAX_VALUE)
  let highest = i64x2.splat(i64.MIN_VALUE)
  // Sums of halves, which have room.
  let lows = i64x2.splat(0)
  let highs = i64x2.splat(0)
  let last = i64x2.splat(packedLastId)
  let i: usize = 0
  for (; i + 8 < bytes; i += 16) {
    const id = v128.load(ids + i)
    const before = v128.shuffle<u64>(last, id, 1, 2)
    last = id
    const gap = v128.sub<i64>(v128.sub<i64>(id, before), i64x2.splat(1))
    v128.store(gaps + i, gap)
    anyGap = v128.or(anyGap, gap)
    const amount = v128.load(amounts + i)
    const other = v128.xor(amount, turned)
    lowest = v128.bitselect(other, lowest, v128.lt<i64>(other, lowest))
    highest = v128.bitselect(other, highest, v128.gt<i64>(other, highest))
    lows = v128.add<i64>(lows, v128.and(amount, i64x2.splat(0xffffffff)))
    highs = v128.add<i64>(highs, v128.shr<u64>(amount, 32))
  }
  lowest = v128.xor(lowest, turned)
  highest = v128.xor(highest, turned)
  let lastId = v128.extract_lane<u64>(last, 1)
  let widest = v128.extract_lane<u64>(anyGap, 0) | v128.extract_lane<u64>(anyGap, 1)
  let less = min(v128.extract_lane<u64>(lowest, 0), v128.extract_lane<u64>(lowest, 1))
  let most = max(v128.extract_lane<u64>(highest, 0), v128.extract_lane<u64>(highest, 1))
  let low = v128.extract_lane<u64>(lows, 0) + v128.extract_lane<u64>(lows, 1)
  let high = v128.extract_lane<u64>(highs, 0) + v128.extract_lane<u64>(highs, 1)
  if (i < bytes) {
    const gap = load<u64>(ids + i) - lastId - 1
    store<u64>(gaps + i, gap)
    widest |= gap
    lastId += gap + 1
    const amount = load<u64>(amounts + i)
    less = min(less, amount)
    most = max(most, amount)
    low += amount & 0xffffffff
    high += amount >> 32
  }
  gapWidth = widthOf(widest)
  amountWidth = widthOf(most - less)
  least = less
  groupLow = (high << 32) + low
  groupHigh = (high >> 32) + <u64>(groupLow < low)
  if (gapWidth > 56) return ascend(ids, count)
  // So many such gaps add up to at most 2^63: had an id gone down, so would the last one.
  return packedPairs == 0 ? lastId >= packedFirstId : lastId > packedLastId
}

function ascend(ids: usize, count: u32): bool {
  if (packedPairs > 0 && load<u64>(ids) <= packedLastId) return false
  for (let i: usize = 8, end = <usize>count << 3; i < end; i += 8) {
    if (load<u64>(ids + i) <= load<u64>(ids + i - 8)) return false
  }
  return true
}

/** How many of these pairs, from the first one on, fit into so many bytes. */
function fitting(ids: usize, amounts: usize, count: u32, room: usize): u32 {
  let last = packedLastId
  let widest: u64 = 0
  let lowest: u64 = u64.MAX_VALUE
  let highest: u64 = 0
  for (let fits: u32 = 0; fits < count; fits++) {
    const at = <usize>fits << 3
    const id = load<u64>(ids + at)
    widest |= id - last - 1
    last = id
    const amount = load<u64>(amounts + at)
    lowest = min(lowest, amount)
    highest = max(highest, amount)
    const bytes = groupBytes(fits + 1, widthOf(widest), widthOf(highest - lowest), lowest)
    if (bytes > room) return fits
  }
  return count
}

// @ts-ignore: decorator
@inline
function widthOf(number: u64): u64 {
  return 64 - clz(number)
}

function groupBytes(count: u32, gapWidth: u64, amountWidth: u64, least: u64): usize {
  const varintBytes = least == 0 ? <usize>1 : <usize>((widthOf(least) + 6) / 7)
  return 2 + varintBytes + fieldBytes(count, gapWidth) + fieldBytes(count, amountWidth)
}

// @ts-ignore: decorator
@inline
export function fieldBytes(count: u32, width: u64): usize {
  return <usize>((<u64>count * width + 7) >> 3)
}

function writeVarint(at: usize, number: u64): usize {
  for (; number > 127; number >>= 7) store<u8>(at++, <u8>(number | 128))
  store<u8>(at, <u8>number)
  return at + 1
}

/** Writes what these numbers are more than `least`, as fields of this width. */
function writeFields(at: usize, numbers: usize, count: u32, width: u64, least: u64): usize {
  const end = numbers + (<usize>count << 3)
  let bits: u64 = 0
  let used: u64 = 0
  if (width <= 28) {
    // Two at a time, and what is left of less than a byte: whatever the width, no branch depends on it.
    for (; numbers + 8 < end; numbers += 16) {
      const two = (load<u64>(numbers) - least) | ((load<u64>(numbers, 8) - least) << width)
      bits |= two << used
      used += width << 1
      store<u64>(at, bits)
      at += <usize>(used >> 3)
      bits >>= used & 56
      used &= 7
    }
  }
  for (; numbers < end; numbers += 8) {
    const more = load<u64>(numbers) - least
    bits |= more << used
    used += width
    if (used < 64) continue
    store<u64>(at, bits)
    at += 8
    used -= 64
    // What did not fit; a shift by 64 would shift by nothing.
    bits = used == 0 ? 0 : more >> (width - used)
  }
  store<u64>(at, bits)
  return at + <usize>((used + 7) >> 3)
}
