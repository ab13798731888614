/**
 * One consumer's sum out of a packed block that stands where blocks are unpacked from (`unpack.ts`). Of
 * groups before its own only the gaps are added up, of those behind it only their beginnings are read.
 * What is passed over is not checked: the block's CRC vouches for it.
 */

import { GROUP_PAIRS } from './pack'
import {
  amountsAt,
  amountWidth,
  beginBlock,
  beginGroup,
  FORMAT,
  gapsAt,
  gapWidth,
  isAtEnd,
  LONG,
  least,
  NOTHING,
  ORDER,
  OVERFLOW,
  unpackedFirstId,
  wideField,
} from './unpack'

/** Whether it was found (0 or 1), and its sum. */
export let isFound: u32 = 0
export let foundAmount: u64 = 0

/** The id before the group at hand, then the last one that was reached. */
let reached: u64 = 0

/** Returns what is wrong with the block of so many bytes, which is to have so many pairs. */
export function find(bytes: usize, pairs: u32, wanted: u64): u32 {
  isFound = 0
  if (!beginBlock(bytes)) return FORMAT
  reached = unpackedFirstId - 1
  let isPassed = wanted < unpackedFirstId
  for (let done: u32 = 0; done < pairs; done += GROUP_PAIRS) {
    const count = min(pairs - done, GROUP_PAIRS)
    let wrong = beginGroup(count)
    if (wrong == NOTHING && !isPassed) {
      wrong = findInGroup(count, wanted, done == 0)
      isPassed = reached >= wanted
    }
    if (wrong != NOTHING) return wrong
  }
  return isAtEnd() ? NOTHING : LONG
}

function findInGroup(count: u32, wanted: u64, isFirst: bool): u32 {
  let bit: u64 = 0
  for (let place: u32 = 0; place < count; place++) {
    const id = reached + 1 + (gapWidth == 0 ? 0 : wideField(gapsAt, bit, gapWidth))
    if (isFirst && place == 0 ? id != unpackedFirstId : id <= reached) return ORDER
    bit += gapWidth
    reached = id
    if (id < wanted) continue
    return id == wanted ? take(place) : NOTHING
  }
  return NOTHING
}

function take(place: u32): u32 {
  const more = amountWidth == 0 ? 0 : wideField(amountsAt, <u64>place * amountWidth, amountWidth)
  foundAmount = least + more
  if (foundAmount < least) return OVERFLOW
  isFound = 1
  return NOTHING
}
