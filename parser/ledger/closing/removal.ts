/**
 * What nobody needs once the books are closed: generations of the opening balance that are not named, and
 * the blocks of files that are part of it. Removed in portions, each a transaction that begins with the
 * lease; a crash leaves the others, which nobody reads.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { Session } from '../connection.ts'
import { OPENING_SEQUENCE_MIN, openingSequence } from '../schema/opening-blocks.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import type { FoldOptions } from './fold.ts'

/** @yields between two portions. @throws CountersinkError LEASE_LOST */
export async function* removeUnnamed(
  session: Session,
  named: bigint,
  options: FoldOptions,
): AsyncGenerator<void> {
  const { sums, opening_wide } = options.names
  const left = await session.query<{ generation: bigint }>(
    `SELECT DISTINCT ? - file_sequence AS generation FROM ${sums}
      WHERE file_sequence >= ? AND file_sequence <> ?
      UNION SELECT generation FROM ${opening_wide} WHERE generation <> ?`,
    [U64_MAX, OPENING_SEQUENCE_MIN, openingSequence(named), named],
  )
  for (const { generation } of left) {
    const sequence = openingSequence(BigInt(generation))
    yield* removeRows(session, options, `${sums} WHERE file_sequence = ${sequence}`)
    yield* removeRows(session, options, `${opening_wide} WHERE generation = ${generation}`)
  }
}

/** The same of the files whose postings are part of the balance. */
export async function* removeFolded(session: Session, options: FoldOptions): AsyncGenerator<void> {
  const { sums } = options.names
  for (let last = 0n; ; ) {
    const sequences = await foldedFrom(session, options.names, last)
    const next = sequences.at(-1)
    if (next === undefined) return
    yield* removeRows(session, options, `${sums} WHERE file_sequence IN (${sequences.join(', ')})`)
    last = next
  }
}

/** Files that still have blocks which are not needed. */
async function foldedFrom(
  session: Session,
  { file, posting, sums }: LedgerNames,
  last: bigint,
): Promise<bigint[]> {
  const rows = await session.query<{ sequence: bigint }>(
    `SELECT f.sequence FROM ${file} f
       JOIN ${posting} p ON p.file_sequence = f.sequence AND p.n = f.postings
      WHERE f.sequence > ? AND p.folded = 1 AND f.pairs IS NOT NULL
        AND EXISTS (SELECT 1 FROM ${sums} s WHERE s.file_sequence = f.sequence)
      ORDER BY f.sequence LIMIT ${FILES_AT_ONCE}`,
    [last],
  )
  return rows.map(({ sequence }) => sequence)
}

async function* removeRows(
  session: Session,
  { lease, between }: FoldOptions,
  rows: string,
): AsyncGenerator<void> {
  for (;;) {
    const removed = await transaction(session, async () => {
      await lease.fence(session)
      return await session.execute(`DELETE FROM ${rows} LIMIT ${ROWS_AT_ONCE}`)
    })
    if (removed > 0) crashPoint('C3-portion-removed')
    if (removed < ROWS_AT_ONCE) return
    yield
    await between()
  }
}

const FILES_AT_ONCE = 100
/** Some megabytes of blocks. */
const ROWS_AT_ONCE = 500
