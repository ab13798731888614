/**
 * What is left of rows of totals once the sums that made them are taken away, and put on again where
 * they were taken back: of each row 64 bits and, beside them, how often that has passed either end. So
 * no order of taking and giving can lose anything.
 *
 * The rows ascend by id. Where they have no holes the place of an id is told by the first one; else it
 * is looked for from the place of the id before, in steps that double, so that few ids among many rows
 * cost little and as many ids as rows cost a look each.
 */

let ids: usize = 0
let lows: usize = 0
let highs: usize = 0
let rows: u32 = 0
let isDense: bool = false

/** These rows: three arrays, of u64, u64 and i32. */
export function layOutRemainders(idsAt: usize, lowsAt: usize, highsAt: usize, count: u32): void {
  ids = idsAt
  lows = lowsAt
  highs = highsAt
  rows = count
  isDense = count > 0 && idOf(count - 1) - idOf(0) == <u64>(count - 1)
}

/**
 * Takes ascending pairs away (or puts them on). Those that have no row are moved to the front of the
 * two arrays; returns how many they are.
 */
export function takePairs(idsAt: usize, amountsAt: usize, pairs: u32, isBack: bool): u32 {
  const first = rows == 0 ? 0 : idOf(0)
  const end = idsAt + (<usize>pairs << 3)
  let strays: u32 = 0
  let place: u32 = 0
  let amountAt = amountsAt
  for (let idAt = idsAt; idAt < end; idAt += 8, amountAt += 8) {
    const id = load<u64>(idAt)
    let isThere: bool
    if (isDense) {
      // Below the first one it wraps, and is past the last.
      const distance = id - first
      isThere = distance < <u64>rows
      place = <u32>distance
    } else {
      place = placeOf(id, place)
      isThere = place < rows && idOf(place) == id
    }
    if (isThere) move(place, load<u64>(amountAt), isBack)
    else {
      const to = <usize>strays << 3
      store<u64>(idsAt + to, id)
      store<u64>(amountsAt + to, load<u64>(amountAt))
      strays += 1
    }
  }
  return strays
}

/** The first row from this one on of which something is left; the number of rows: of none. */
export function unsettledFrom(row: u32): u32 {
  let at = row
  while (at < rows && load<u64>(lows + (<usize>at << 3)) == 0 && highOf(at) == 0) at += 1
  return at
}

// @ts-ignore: decorator
@inline
function move(row: u32, amount: u64, isBack: bool): void {
  const lowAt = lows + (<usize>row << 3)
  const highAt = highs + (<usize>row << 2)
  const before = load<u64>(lowAt)
  if (isBack) {
    const after = before + amount
    store<u64>(lowAt, after)
    store<i32>(highAt, load<i32>(highAt) + <i32>(after < before))
  } else {
    store<u64>(lowAt, before - amount)
    store<i32>(highAt, load<i32>(highAt) - <i32>(before < amount))
  }
}

/** The first row from `from` on whose id is not below this one. */
function placeOf(id: u64, from: u32): u32 {
  if (from >= rows || idOf(from) >= id) return from
  let step: u32 = 1
  let low = from
  while (rows - low > step && idOf(low + step) < id) {
    low += step
    step <<= 1
  }
  let high = min(rows, low + step)
  while (high - low > 1) {
    const middle = low + ((high - low) >> 1)
    if (idOf(middle) < id) low = middle
    else high = middle
  }
  return high
}

// @ts-ignore: decorator
@inline
function idOf(row: u32): u64 {
  return load<u64>(ids + (<usize>row << 3))
}

// @ts-ignore: decorator
@inline
function highOf(row: u32): i32 {
  return load<i32>(highs + (<usize>row << 2))
}

/** Ids without holes, from this one on. */
export function fillIds(idsAt: usize, first: u64, count: u32): void {
  for (let row: u32 = 0; row < count; row += 1) store<u64>(idsAt + (<usize>row << 3), first + row)
}

/** Puts what stands in the rows in hand on the same rows elsewhere: two arrays, of u64 and i32. */
export function putOnto(toLows: usize, toHighs: usize): void {
  for (let row: u32 = 0; row < rows; row += 1) {
    const lowAt = toLows + (<usize>row << 3)
    const highAt = toHighs + (<usize>row << 2)
    const before = load<u64>(lowAt)
    const after = before + load<u64>(lows + (<usize>row << 3))
    store<u64>(lowAt, after)
    store<i32>(highAt, load<i32>(highAt) + highOf(row) + <i32>(after < before))
  }
}

/**
 * The rows that are above zero, or those below with their distance from it, as pairs; of what passes 64
 * bits as much as they hold. Returns how many.
 */
export function gatherPairs(idsAt: usize, amountsAt: usize, isBelow: bool): u32 {
  let pairs: u32 = 0
  for (let row: u32 = 0; row < rows; row += 1) {
    const low = load<u64>(lows + (<usize>row << 3))
    const high = highOf(row)
    if (isBelow ? high >= 0 : high < 0 || (high == 0 && low == 0)) continue
    const to = <usize>pairs << 3
    store<u64>(idsAt + to, idOf(row))
    store<u64>(amountsAt + to, isWide(low, high) ? u64.MAX_VALUE : isBelow ? 0 - low : low)
    pairs += 1
  }
  return pairs
}

/** The first row from this one on that no pair holds; the number of rows: there is none. */
export function wideFrom(row: u32): u32 {
  let at = row
  while (at < rows && !isWide(load<u64>(lows + (<usize>at << 3)), highOf(at))) at += 1
  return at
}

// @ts-ignore: decorator
@inline
function isWide(low: u64, high: i32): bool {
  return high > 0 || high < -1 || (high == -1 && low == 0)
}
