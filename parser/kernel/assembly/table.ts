/**
 * Sums per consumer, exact in 64 bits.
 *
 * Ids of the *window* [base, base + size) have their sums in an array, by id: 8 bytes each, no
 * search. Consumer ids are mostly dense, so mostly this serves them all. A sum that is not zero
 * says by itself that the consumer is there; for a sum of zero there is a bit. 64 neighbours are a
 * *group*: it has one word of such bits, and a byte that tells whether there is anything in it, so
 * that emptying and reading cost what was used and not what there is room for.
 *
 * All other ids have entries of 16 bytes (id, sum) in one open-addressing *table*: linear probing,
 * at most half full, so that an entry is mostly found in the first cache line looked at. The id 0
 * marks an empty entry; the consumer 0 has an entry of its own, outside.
 *
 * All memory is zero where nothing was stored, here and when it is handed over.
 */

import { CROWDED, DONE, FULL, OVERFLOW, places, rows } from './staging'

// The window.
export let windowBase: u64 = 0
export let windowSize: u64 = 0
export let windowSums: usize = 0
export let zeroBits: usize = 0
export let groupsUsed: usize = 0

// The table.
export let table: usize = 0
export let capacity: u32 = 0
let capacityMax: u32 = 0
/** Entries in the table, without the consumer 0's. */
export let entries: u32 = 0
/** The consumer 0's entry: its id is 1 as long as it is not there. */
export const zeroEntry: usize = memory.data(16, 16)

/** Consumers in both, and how many there may be. */
export let pairs: u32 = 0
let pairsMax: u32 = 0

// What was added, since `resetTotals`.
export let lines: u64 = 0
export let amountLow: u64 = 0
export let amountHigh: u64 = 0

/** Where touched words go, so that no compiler leaves the touching out. */
export let touched: u64 = 0

/** A table begins with no more entries than this: small files are many. */
const CAPACITY_FIRST_MAX: u32 = 4096

/**
 * Sets up an empty window and an empty table in [arena, arena + bytes), all zero. `size` is a
 * multiple of 64; the table gets what the window leaves.
 */
export function layOut(arena: usize, bytes: usize, base: u64, size: u32, most: u32): void {
  windowBase = base
  windowSize = size
  windowSums = arena
  zeroBits = arena + (<usize>size << 3)
  groupsUsed = zeroBits + <usize>(size >> 3)
  table = (groupsUsed + <usize>(size >> 6) + 63) & ~(<usize>63)
  // 16 bytes an entry, and an eighth for what `grow` puts behind the table.
  capacity = <u32>((arena + bytes - table) / 18)
  let growths: u32 = 0
  for (; capacity > CAPACITY_FIRST_MAX; growths++) capacity >>= 2
  capacityMax = capacity << (growths << 1)
  pairsMax = most
  pairs = 0
  entries = 0
  store<u64>(zeroEntry, 1)
  store<u64>(zeroEntry, 0, 8)
}

/** Empties both; the table stays as large as it is. */
export function clear(): void {
  const groups = <usize>(windowSize >> 6)
  for (let group: usize = 0; group < groups; group += 8) {
    // Eight at a time; behind the last group there is room before the table, and it is zero.
    if (load<u64>(groupsUsed + group) == 0) continue
    for (let i = group; i < group + 8; i++) {
      if (load<u8>(groupsUsed + i) == 0) continue
      memory.fill(windowSums + (i << 9), 0, 512)
      store<u64>(zeroBits + (i << 3), 0)
      store<u8>(groupsUsed + i, 0)
    }
  }
  if (entries > 0) memory.fill(table, 0, <usize>capacity << 4)
  entries = 0
  pairs = 0
  store<u64>(zeroEntry, 1)
  store<u64>(zeroEntry, 0, 8)
}

export function resetTotals(): void {
  restoreTotals(0, 0, 0)
}

export function restoreTotals(linesThen: u64, lowThen: u64, highThen: u64): void {
  lines = linesThen
  amountLow = lowThen
  amountHigh = highThen
}

/** The first entry to look at: the product's upper bits depend on all bits of the id. */
// @ts-ignore: decorator
@inline
function placeOf(id: u64): usize {
  const hash = (id * 0x9e3779b97f4a7c15) >> 32
  // Scaled to any capacity, power of two or not, by a multiplication (Lemire, 2016).
  return table + (<usize>((hash * <u64>capacity) >> 32) << 4)
}

/**
 * Finds the place of each staged row, and touches it. Nothing here waits for what is loaded, so
 * the cache misses of many rows overlap; done one by one they would cost three times as much as
 * all the rest.
 */
export function touchRows(count: u32): void {
  const base = windowBase
  const size = windowSize
  const sums = windowSums
  let sink: u64 = 0
  let row = rows
  for (let place = places, end = places + (<usize>count << 2); place < end; place += 4, row += 16) {
    const id = load<u64>(row)
    const index = id - base
    const at = index < size ? sums + (<usize>index << 3) : id == 0 ? zeroEntry : placeOf(id)
    sink ^= load<u64>(at)
    store<u32>(place, <u32>at)
  }
  touched = sink
}

/** Why `addRows` ended early. */
export let stopped: u32 = DONE

/**
 * Adds the touched rows, in order; returns how many. Fewer than `count`: `stopped` says why, the
 * first that was not added has changed nothing.
 */
export function addRows(count: u32): u32 {
  const windowEnd = zeroBits
  const windowStart = windowSums
  let low = amountLow
  let high = amountHigh
  let row = rows
  stopped = DONE
  const end = rows + (<usize>count << 4)
  for (let place = places; row < end; place += 4, row += 16) {
    const at = <usize>load<u32>(place)
    const amount = load<u64>(row, 8)
    if (at - windowStart < windowEnd - windowStart) {
      const before = load<u64>(at)
      const sum = before + amount
      if (before == 0) {
        if (!addFirst(at, amount)) {
          stopped = FULL
          break
        }
      } else if (sum < before) {
        stopped = OVERFLOW
        break
      }
      store<u64>(at, sum)
    } else {
      const why = addToTable(at, load<u64>(row), amount)
      if (why != DONE) {
        stopped = why
        break
      }
    }
    low += amount
    high += <u64>(low < amount)
  }
  amountLow = low
  amountHigh = high
  const added = <u32>((row - rows) >> 4)
  lines += added
  return added
}

/** Notes that there is something where a sum of the window was zero. False: no room. */
function addFirst(at: usize, amount: u64): bool {
  const index = (at - windowSums) >> 3
  const group = index >> 6
  const bit = (<u64>1) << <u64>(index & 63)
  const bits = load<u64>(zeroBits + (group << 3))
  if ((bits & bit) != 0) return true
  if (pairs >= pairsMax) return false
  pairs += 1
  store<u8>(groupsUsed + group, 1)
  if (amount == 0) store<u64>(zeroBits + (group << 3), bits | bit)
  return true
}

// @ts-ignore: decorator
@inline
function addToTable(at: usize, id: u64, amount: u64): u32 {
  if (load<u64>(at) != id) {
    at = find(at, id)
    if (load<u64>(at) != id) {
      if (pairs >= pairsMax) return FULL
      if (id != 0) {
        // Not more than half full: probing stays short, and `sort` has its second half.
        if ((entries + 1) << 1 > capacity) return capacity < capacityMax ? CROWDED : FULL
        entries += 1
      }
      pairs += 1
      store<u64>(at, id)
    }
  }
  const sum = load<u64>(at, 8) + amount
  if (sum < amount) return OVERFLOW
  store<u64>(at, sum, 8)
  return DONE
}

/** The entry that holds this id, or that is free for it. */
function find(at: usize, id: u64): usize {
  if (id == 0) return zeroEntry
  const end = table + (<usize>capacity << 4)
  for (let found = load<u64>(at); found != id && found != 0; found = load<u64>(at)) {
    at += 16
    if (at == end) at = table
  }
  return at
}

/** Moves all entries to the table's beginning, in any order; what they leave is not emptied. */
export function compact(): void {
  let to = table
  const end = table + (<usize>capacity << 4)
  for (let from = table; from < end; from += 16) {
    if (load<u64>(from) == 0) continue
    v128.store(to, v128.load(from))
    to += 16
  }
}

/** Makes the table four times as large. */
export function grow(): void {
  compact()
  capacity <<= 2
  // What was in it waits behind the larger table meanwhile: at most an eighth of that.
  const kept = table + (<usize>capacity << 4)
  const keptEnd = kept + (<usize>entries << 4)
  memory.copy(kept, table, keptEnd - kept)
  // All of it: entries will be everywhere, and memory that is read before it is first written costs
  // two page faults, the second one for all threads.
  memory.fill(table, 0, <usize>capacity << 4)
  for (let from = kept; from < keptEnd; from += 16) {
    const id = load<u64>(from)
    v128.store(find(placeOf(id), id), v128.load(from))
  }
  memory.fill(kept, 0, keptEnd - kept)
}
