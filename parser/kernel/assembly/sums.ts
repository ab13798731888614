/**
 * The kernel: lines of a file into exact sums per consumer. What sum-kernel.ts calls.
 *
 * Lines go through four passes, a block of some hundred at a time:
 *
 *     mark     where the bytes are that are no digits        (lines.ts)
 *     parse    two numbers a line, checked, into rows        (lines.ts)
 *     touch    find the place of each row's sum              (table.ts)
 *     add      check for room and for a carry, and add       (table.ts)
 *
 * Each pass does one thing that the processor can do for many lines at once: none of them waits
 * for a line before it. That is where the speed is from.
 *
 * The kernel only finds out *that* a line is bad; line-defects.ts says why.
 */

import { lineStart, markLines, parseLines } from './lines'
import { CHUNK_PAIRS, chunkAmounts, chunkIds } from './sort'
import { BAD, BLOCK_BYTES, CROWDED, DONE, ROWS_MAX, rows } from './staging'
import {
  addRows,
  amountHigh,
  amountLow,
  grow,
  lines,
  restoreTotals,
  stopped,
  touchRows,
} from './table'

export {
  beginMerge,
  emptyMerged,
  hungry,
  joinedPairs,
  merge,
  mergedAmounts,
  mergedIds,
  mergedPairs,
  MERGED_PAIRS_MAX,
  overflowId,
  overflowSource,
  SOURCE_BYTES,
  supply,
} from './merge'
export {
  beginPacking,
  GIVEN_PAIRS,
  givenAmounts,
  givenIds,
  pack,
  packRest,
  packState,
  packed,
  packedAmountHigh,
  packedAmountLow,
  packedBytes,
  packedFirstId,
  packedLastId,
  packedPairs,
} from './pack'
export { find, foundAmount, isFound } from './find'
export {
  fillIds,
  gatherPairs,
  layOutRemainders,
  putOnto,
  takePairs,
  unsettledFrom,
  wideFrom,
} from './remainders'
export { CHUNK_PAIRS, chunkAmounts, chunkIds, nextChunk, sort } from './sort'
export { amountHigh, amountLow, clear, layOut, lines, pairs, resetTotals } from './table'
export {
  blockToUnpack,
  unpack,
  unpackedAmountHigh,
  unpackedAmountLow,
  unpackedFirstId,
  unpackedLastId,
} from './unpack'

/** The first address that the kernel does not use itself. */
export function memoryStart(): usize {
  return __heap_base
}

/** A line with its line feed has at most so many bytes, or it is bad. */
const LINE_BYTES_MAX: usize = 64
const LF: u8 = 0x0a

/** Where the last call ended: at the beginning of a line that was not added. */
export let position: usize = 0
/** OVERFLOW: the consumer. */
export let consumer: u64 = 0

/**
 * Adds the whole lines of [start, end); a line begins at `start`. DONE: what is left from
 * `position` on is less than a line. Otherwise the line at `position` is the reason.
 * 64 bytes before `start` and behind `end` must be readable.
 */
export function sumLines(start: usize, end: usize): u32 {
  while (start < end) {
    const blockEnd = min(start + BLOCK_BYTES, end)
    const count = parseLines(start, markLines(start, blockEnd))
    touchRows(count)
    const added = addRows(count)
    if (added < count) {
      start = afterLines(start, added)
      if (stopped == CROWDED) {
        grow()
        continue
      }
      consumer = load<u64>(rows + (<usize>added << 4))
      position = start
      return stopped
    }
    position = lineStart
    if (isBad(lineStart, blockEnd)) return BAD
    if (blockEnd == end) return DONE
    start = lineStart
  }
  position = start
  return DONE
}

/** Where the line begins that comes after so many. */
function afterLines(start: usize, count: u32): usize {
  for (; count > 0; count--) {
    while (load<u8>(start) != LF) start++
    start++
  }
  return start
}

/** Whether what was not taken is more than a line that was cut at `end`. */
function isBad(start: usize, end: usize): bool {
  const lineEnd = min(end, start + LINE_BYTES_MAX)
  for (let at = start; at < lineEnd; at++) if (load<u8>(at) == LF) return true
  return end - start >= LINE_BYTES_MAX
}

/**
 * The ids of the first lines of [start, end), into `chunkIds`: at most CHUNK_PAIRS; returns how
 * many. Nothing is added.
 */
export function sampleIds(start: usize, end: usize): u32 {
  let sampled: u32 = 0
  while (start < end && sampled + ROWS_MAX <= CHUNK_PAIRS) {
    const blockEnd = min(start + BLOCK_BYTES, end)
    const count = parseLines(start, markLines(start, blockEnd))
    for (let i: u32 = 0; i < count; i++) {
      store<u64>(chunkIds + (<usize>(sampled + i) << 3), load<u64>(rows + (<usize>i << 4)))
    }
    sampled += count
    if (count == 0) break
    start = lineStart
  }
  return sampled
}

/**
 * Adds `count` pairs of `chunkIds` and `chunkAmounts`, from the one at `first` on; they count as no
 * lines and add no amount. Returns DONE, FULL or OVERFLOW; `position` is then the first pair that
 * was not added.
 */
export function addPairs(first: u32, count: u32): u32 {
  const linesBefore = lines
  const lowBefore = amountLow
  const highBefore = amountHigh
  let why = DONE
  while (first < count) {
    const staged = min(count - first, ROWS_MAX)
    for (let i: u32 = 0; i < staged; i++) {
      const row = rows + (<usize>i << 4)
      store<u64>(row, load<u64>(chunkIds + (<usize>(first + i) << 3)))
      store<u64>(row, load<u64>(chunkAmounts + (<usize>(first + i) << 3)), 8)
    }
    touchRows(staged)
    first += addRows(staged)
    if (stopped == DONE) continue
    if (stopped == CROWDED) {
      grow()
      continue
    }
    why = stopped
    consumer = load<u64>(chunkIds + (<usize>first << 3))
    break
  }
  position = first
  restoreTotals(linesBefore, lowBefore, highBefore)
  return why
}
