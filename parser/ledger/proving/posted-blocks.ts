/**
 * The blocks of everything that was posted, as far as they have ids of a range: what has moved these
 * consumers' totals. Of contents with few pairs the blocks of several are fetched by one query; of large
 * ones block by block from the one that the range begins in, which a dive into the primary key finds
 * (one query over several large ones would look at every block of each).
 *
 * A posting of a batch that has not ended has moved what stands between what was taken back and the
 * cursor.
 */

import { type IdRange, PACKED_PAIRS_MAX, type PackedBlock } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { isBack } from '../file-rows.ts'
import { BLOCK_COLUMNS, type BlockRow, blockOf } from '../recording/blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'

/** Something whose sums are in the totals, and its blocks. */
export interface Posted {
  readonly sequence: bigint
  /** undefined: it is no file, but the opening balance. */
  readonly name: string | undefined
  readonly sha256: Buffer
  /** It was taken back: its sums are not in the totals any more. */
  readonly isBack: boolean
  /** Of the ids asked for those that it has moved. */
  readonly range: IdRange
}

export interface PostedBlocks {
  readonly posted: Posted
  readonly blocks: readonly PackedBlock[]
}

/** The blocks of one query, in any order. */
export type Portion = readonly PostedBlocks[]

/**
 * Of all postings that are not part of the opening balance.
 *
 * @param onPage hears of so many postings before their blocks are given.
 * @param among a condition for them, of a posting `p`, its file `f` and its batch `b`.
 */
export async function* postedBlocks(
  session: Session,
  names: LedgerNames,
  range: IdRange,
  onPage: (postings: number) => void,
  among = 'TRUE',
): AsyncGenerator<Portion> {
  let last: { readonly sequence: bigint; readonly n: number } = { sequence: 0n, n: 0 }
  for (;;) {
    const rows = await postingsBehind(session, names, last, among)
    let group: Posted[] = []
    let groupPairs = 0
    for (const row of rows) {
      const posted = postedOf(row, range)
      if (posted === undefined) continue
      const pairs = Number(row.pairs ?? 0)
      if (pairs > SMALL_PAIRS_MAX) {
        yield* blocksOf(session, names, posted)
        continue
      }
      if (groupPairs + pairs > GROUP_PAIRS_MAX) {
        yield await blocksOfGroup(session, names, group)
        group = []
        groupPairs = 0
      }
      group.push(posted)
      groupPairs += pairs
    }
    if (group.length > 0) yield await blocksOfGroup(session, names, group)
    onPage(rows.length)
    if (rows.length < POSTINGS_AT_ONCE) return
    const { sequence, n } = rows.at(-1)!
    last = { sequence, n: Number(n) }
  }
}

/** Those of one content, ascending. */
export async function* blocksOf(
  session: Session,
  names: LedgerNames,
  posted: Posted,
): AsyncGenerator<Portion> {
  const { sequence, range } = posted
  const { after = -1n, to } = range
  // The one that the range begins in may begin before it.
  let where = `first_id >= COALESCE((SELECT d.first_id FROM ${names.sums} d
      WHERE d.file_sequence = ? AND d.first_id <= ? ORDER BY d.first_id DESC LIMIT 1), 0)`
  let from: readonly bigint[] = [sequence, after < 0n ? 0n : after]
  for (;;) {
    const blocks = await readBlocks(
      session,
      names,
      `file_sequence = ? AND ${where} AND first_id <= ? ORDER BY first_id LIMIT ${BLOCKS_AT_ONCE}`,
      [sequence, ...from, to],
    )
    if (blocks.length > 0) yield [{ posted, blocks: blocks.map(({ block }) => block) }]
    if (blocks.length < BLOCKS_AT_ONCE) return
    where = 'first_id > ?'
    from = [blocks.at(-1)!.block.firstId]
  }
}

async function blocksOfGroup(
  session: Session,
  names: LedgerNames,
  group: readonly Posted[],
): Promise<Portion> {
  const blocks = new Map<bigint, PackedBlock[]>()
  for (const { sequence } of group) blocks.set(sequence, [])
  const after = group.reduce(
    (least, { range }) => min(least, range.after ?? -1n),
    group[0]!.range.to,
  )
  const to = group.reduce((most, { range }) => (range.to > most ? range.to : most), 0n)
  const found = await readBlocks(
    session,
    names,
    `file_sequence IN (${[...blocks.keys()].join(', ')}) AND first_id <= ? AND last_id > ?`,
    [to, after],
  )
  for (const { sequence, block } of found) blocks.get(sequence)!.push(block)
  return group.map(posted => ({ posted, blocks: blocks.get(posted.sequence)! }))
}

function postingsBehind(
  session: Session,
  { posting, batch, file }: LedgerNames,
  last: { readonly sequence: bigint; readonly n: number },
  among: string,
): Promise<PostingRow[]> {
  return session.query<PostingRow>(
    `SELECT p.file_sequence AS sequence, p.n, f.sign, f.name, f.sha256, f.pairs,
            b.state, b.from_id AS fromId, b.cursor_id AS cursorId
       FROM ${posting} p JOIN ${file} f ON f.sequence = p.file_sequence
       JOIN ${batch} b ON b.id = p.batch_id
      WHERE p.folded = 0 AND (${among}) AND p.file_sequence >= ? AND (p.file_sequence > ? OR p.n > ?)
      ORDER BY p.file_sequence, p.n LIMIT ${POSTINGS_AT_ONCE}`,
    [last.sequence, last.sequence, last.n],
  )
}

/** undefined: it has moved none of these ids. */
function postedOf(row: PostingRow, { after, to }: IdRange): Posted | undefined {
  const { sequence, name, sha256 } = row
  const posted = { sequence, name, sha256, isBack: isBack(row) }
  if (row.state === 'applied') return { ...posted, range: { after, to } }
  const { fromId, cursorId } = row
  if (cursorId === null) return undefined
  const begin = fromId !== null && fromId > (after ?? -1n) ? fromId : after
  const end = min(to, cursorId)
  return end > (begin ?? -1n) ? { ...posted, range: { after: begin, to: end } } : undefined
}

async function readBlocks(
  session: Session,
  names: LedgerNames,
  where: string,
  values: readonly bigint[],
): Promise<{ readonly sequence: bigint; readonly block: PackedBlock }[]> {
  const rows = await session.query<BlockRow & { readonly sequence: bigint }>(
    `SELECT s.file_sequence AS sequence, ${BLOCK_COLUMNS} FROM ${names.sums} s WHERE ${where}`,
    values,
  )
  return rows.map(row => ({ sequence: row.sequence, block: blockOf(row) }))
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

interface PostingRow {
  readonly sequence: bigint
  readonly n: number | bigint
  readonly sign: number
  readonly name: string
  readonly sha256: Buffer
  readonly pairs: bigint | null
  readonly state: string
  readonly fromId: bigint | null
  readonly cursorId: bigint | null
}

/** Longer lists of numbers in a statement become a table of the server's first. */
const POSTINGS_AT_ONCE = 500
/** Contents of so few pairs have few blocks, however many ids lie between them. */
const SMALL_PAIRS_MAX = PACKED_PAIRS_MAX
/** Of several small ones together: some megabytes at most. */
const GROUP_PAIRS_MAX = 262_144
/** A megabyte. */
const BLOCKS_AT_ONCE = 64
