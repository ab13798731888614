/**
 * Ascending pairs of several sources as one ascending sequence, equal ids added together. When a
 * source has used up what was supplied, the merge says so and stops.
 *
 * A loser tree: each inner node keeps the source that lost there, so that the next pair costs one
 * comparison a level. Of equal ids the source of the lower index comes first.
 */

/** Merged pairs that are handed out at once: a block of a run. */
export const MERGED_PAIRS_MAX: u32 = 4096
export const mergedIds: usize = memory.data(MERGED_PAIRS_MAX * 8, 64)
export const mergedAmounts: usize = memory.data(MERGED_PAIRS_MAX * 8, 64)
/** How many are there. */
export let mergedPairs: u32 = 0
/** How many were added to one of another source since there was none. */
export let joinedPairs: u32 = 0

// Why `merge` stopped; the same numbers stand in sum-kernel.ts.
const FULL: u32 = 0
const HUNGRY: u32 = 1
const ENDED: u32 = 2
/** A sum would pass 2^64 - 1: `overflowId`, with what `overflowSource` has of it. */
const OVERFLOW: u32 = 3
export let overflowId: u64 = 0
export let overflowSource: u32 = 0

/** What a merge needs of the memory for each of its sources. */
export const SOURCE_BYTES: u32 = 36
/** The id that each source is at; the largest there is if it has ended. */
let heads: usize = 0
/** Of each source: the address of that id, of the end of its ids, of its amount; whether it ended. */
let states: usize = 0
/** For the first round of matches. */
let winners: usize = 0
/** The source that goes next, then the losers of the inner nodes. */
let tree: usize = 0

let sources: u32 = 0
let started: u32 = 0
/** The source that must be supplied next, or `sources` if none. */
export let hungry: u32 = 0

/** With memory for the sources from `at` on, a multiple of 8. */
export function beginMerge(count: u32, at: usize): void {
  heads = at
  states = heads + (<usize>count << 3)
  winners = states + (<usize>count << 4)
  tree = winners + (<usize>count << 3)
  sources = count
  started = 0
  hungry = 0
  emptyMerged()
}

/** Makes room for the next pairs. */
export function emptyMerged(): void {
  mergedPairs = 0
  joinedPairs = 0
}

/** Gives the hungry source its next pairs, which must stay as they are; none: it has ended. */
export function supply(ids: usize, amounts: usize, pairs: u32): void {
  const source = hungry
  const state = states + (<usize>source << 4)
  store<u32>(state, <u32>ids)
  store<u32>(state, <u32>ids + (pairs << 3), 4)
  store<u32>(state, <u32>amounts, 8)
  store<u32>(state, <u32>(pairs == 0), 12)
  store<u64>(heads + (<usize>source << 3), pairs == 0 ? u64.MAX_VALUE : load<u64>(ids))
  hungry = sources
  if (started == sources) {
    replay(source)
    return
  }
  started += 1
  if (started < sources) hungry = started
  else build()
}

/** Merges until one of the states is reached, behind what was merged before: full are `most` pairs. */
export function merge(most: u32): u32 {
  if (hungry < sources) return HUNGRY
  let count = <usize>mergedPairs
  let joined = joinedPairs
  let why = ENDED
  for (;;) {
    const source = <usize>load<u32>(tree)
    const state = states + (source << 4)
    if (load<u32>(state, 12) != 0) break
    const id = load<u64>(heads + (source << 3))
    const amountAt = <usize>load<u32>(state, 8)
    const amount = load<u64>(amountAt)
    if (count > 0 && load<u64>(mergedIds + ((count - 1) << 3)) == id) {
      const at = mergedAmounts + ((count - 1) << 3)
      const sum = load<u64>(at) + amount
      if (sum < amount) {
        overflowId = id
        overflowSource = <u32>source
        why = OVERFLOW
        break
      }
      store<u64>(at, sum)
      joined += 1
    } else {
      // Only now, when a greater id has come, is the last pair finished.
      if (count == <usize>most) {
        why = FULL
        break
      }
      store<u64>(mergedIds + (count << 3), id)
      store<u64>(mergedAmounts + (count << 3), amount)
      count += 1
    }
    const next = <usize>load<u32>(state) + 8
    store<u32>(state, <u32>next)
    store<u32>(state, <u32>(amountAt + 8), 8)
    if (next == <usize>load<u32>(state, 4)) {
      hungry = <u32>source
      why = HUNGRY
      break
    }
    store<u64>(heads + (source << 3), load<u64>(next))
    replay(<u32>source)
  }
  mergedPairs = <u32>count
  joinedPairs = joined
  return why
}

/** Plays all matches for the first time, from the leaves up. */
function build(): void {
  for (let source: u32 = 0; source < sources; source++) {
    store<u32>(winners + (<usize>(sources + source) << 2), source)
  }
  for (let node = sources - 1; node >= 1; node--) {
    const left = load<u32>(winners + (<usize>node << 3))
    const right = load<u32>(winners + (<usize>node << 3), 4)
    const leftWins = goesBefore(left, right)
    store<u32>(winners + (<usize>node << 2), leftWins ? left : right)
    store<u32>(tree + (<usize>node << 2), leftWins ? right : left)
  }
  store<u32>(tree, sources == 1 ? 0 : load<u32>(winners, 4))
}

/** The source has moved on: plays its matches again, up to the top. */
// @ts-ignore: decorator
@inline
function replay(source: u32): void {
  let winner = source
  for (let node = (source + sources) >> 1; node > 0; node >>= 1) {
    const at = tree + (<usize>node << 2)
    const loser = load<u32>(at)
    if (goesBefore(loser, winner)) {
      store<u32>(at, winner)
      winner = loser
    }
  }
  store<u32>(tree, winner)
}

// @ts-ignore: decorator
@inline
function goesBefore(a: u32, b: u32): bool {
  const headA = load<u64>(heads + (<usize>a << 3))
  const headB = load<u64>(heads + (<usize>b << 3))
  if (headA != headB) return headA < headB
  // The greatest id there is comes before an end.
  const endedA = load<u32>(states + (<usize>a << 4), 12)
  const endedB = load<u32>(states + (<usize>b << 4), 12)
  return endedA != endedB ? endedA < endedB : a < b
}
