import { type PairChunk, wordsOf } from '../../sums/index.ts'
import { digitsOf } from './decimal-bytes.ts'

/** A chunk seen as 32-bit words, low before high: reading them makes no BigInt per pair. */
export interface ChunkWords {
  readonly pairs: number
  readonly ids: Uint32Array
  readonly amounts: Uint32Array
}

export function chunkWords({ ids, amounts }: PairChunk): ChunkWords {
  return { pairs: ids.length, ids: wordsOf(ids), amounts: wordsOf(amounts) }
}

/** Consecutive pairs of a chunk that are written with one statement. */
export interface Piece {
  /** Index of the first pair. */
  readonly from: number
  /** Index behind the last pair. */
  readonly to: number
  /** How many ids lie from the first to the last; past 2^53 not exact, and then of no use. */
  readonly span: number
  /** Whether one fixed-width amount for each id of the span fits a statement, and is worth it. */
  readonly isDense: boolean
  /** Digits of the largest amount. */
  readonly amountDigits: number
  /** Pairs whose amount is zero. */
  readonly zeros: number
}

export interface PieceLimits {
  /** Digits of the ids, or of the amounts, in one statement, as bytes. */
  readonly digitBytesMax: number
  /** Pairs, and of a dense piece the ids of its range: a row of the server's for each. */
  readonly pairsMax: number
  /** Pairs that are looked at as one: all of them are in a dense piece, or none. */
  readonly cellPairs: number
  /** Fewer are not worth statements of their own. */
  readonly densePairsMin: number
}

/** Up to so many ids for each pair, a row that is passed over is cheaper than an upsert. */
const IDS_PER_PAIR_MAX = 4

/** Cuts a chunk into pieces, in ascending order: dense ones as long as possible, and the others. */
export function piecesOf(words: ChunkWords, limits: PieceLimits): Piece[] {
  const pieces: Piece[] = []
  let piece: Piece | undefined
  for (let from = 0; from < words.pairs; from += limits.cellPairs) {
    const cell = measure(words, from, Math.min(words.pairs, from + limits.cellPairs), limits)
    const joined: Piece | undefined = piece && join(words, piece, cell, limits)
    if (piece !== undefined && joined === undefined) pieces.push(piece)
    piece = joined ?? cell
  }
  if (piece !== undefined) pieces.push(piece)
  return pieces.map(one =>
    one.to - one.from < limits.densePairsMin ? { ...one, isDense: false } : one,
  )
}

/** Both as one piece; undefined if they are not alike, or it would be too large. */
function join(
  words: ChunkWords,
  piece: Piece,
  cell: Piece,
  limits: PieceLimits,
): Piece | undefined {
  if (piece.isDense !== cell.isDense) return undefined
  const { from } = piece
  const { to } = cell
  const amountDigits = Math.max(piece.amountDigits, cell.amountDigits)
  const span = spanOf(words, from, to)
  const shape = { from, to, span, amountDigits }
  const joined = { ...shape, isDense: piece.isDense, zeros: piece.zeros + cell.zeros }
  return fits(joined, words, limits) ? joined : undefined
}

function measure(words: ChunkWords, from: number, to: number, limits: PieceLimits): Piece {
  const { amounts } = words
  let high = 0
  let low = 0
  let zeros = 0
  for (let at = from * 2; at < to * 2; at += 2) {
    const amountLow = amounts[at]!
    const amountHigh = amounts[at + 1]!
    if (amountHigh > high || (amountHigh === high && amountLow > low)) {
      high = amountHigh
      low = amountLow
    }
    if (amountHigh === 0 && amountLow === 0) zeros += 1
  }
  const shape = {
    from,
    to,
    span: spanOf(words, from, to),
    amountDigits: digitsOf(high, low),
    zeros,
  }
  const dense = { ...shape, isDense: true }
  const isWorthIt = zeros <= (to - from) / 8
  return isWorthIt && fits(dense, words, limits) ? dense : { ...shape, isDense: false }
}

function fits(piece: Piece, words: ChunkWords, limits: PieceLimits): boolean {
  const pairs = piece.to - piece.from
  if (pairs > limits.pairsMax) return false
  // Any piece may have to be upserted; ids without gaps need no text.
  const idBytes = piece.span === pairs ? 0 : idDigits(words, piece)
  if (pairs * Math.max(idBytes, piece.amountDigits) > limits.digitBytesMax) return false
  if (!piece.isDense) return true
  if (piece.span > Math.min(pairs * IDS_PER_PAIR_MAX, limits.pairsMax)) return false
  return piece.span * piece.amountDigits <= limits.digitBytesMax
}

/** Digits of the piece's last id, the largest. */
export function idDigits({ ids }: ChunkWords, { to }: Piece): number {
  return digitsOf(ids[to * 2 - 1]!, ids[to * 2 - 2]!)
}

function spanOf({ ids }: ChunkWords, from: number, to: number): number {
  const first = from * 2
  const last = to * 2 - 2
  return (ids[last + 1]! - ids[first + 1]!) * 2 ** 32 + (ids[last]! - ids[first]!) + 1
}
