/**
 * What stood in the totals before the ledger counted anything, consumer by consumer, packed as the sums of
 * a content are: so that every total can be explained and proved, also where there were totals before.
 *
 * - **not taken** (`opening_generation` is NULL): the ledger has just been begun, or its tables come
 *   from an earlier version. Nothing is claimed before it is taken.
 * - **being taken** (O1): one transaction reads the totals as they were at its beginning, and writes
 *   blocks under a sequence that no content can have, of a generation that this attempt has chosen. It
 *   touches no other one's blocks, or two that begin at once could go on for ever. A crash leaves nothing,
 *   or a generation that nobody names. (The account may have no second connection.)
 * - **taken** (O2): one small transaction names the generation, and writes rows, amount and bound as
 *   they were in the snapshot. It waits for nobody who still packs. Of several parsers that begin at
 *   once the first one wins; the others remove what they have written.
 *
 * Once one generation is named no other one will be: whoever finds it so removes what is left of those
 * that were killed.
 *
 * Others may write to the totals meanwhile: the snapshot decides. What is no unsigned 64-bit number
 * stands in a table of its own. An amount that is NULL counts as zero.
 */

import { randomInt } from 'node:crypto'
import type { Config } from '../../../shared/config.ts'
import { crashPoint } from '../../../shared/crash-points.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { Session } from '../connection.ts'
import { transaction } from '../transaction.ts'
import { GENERATIONS, namedGeneration, OpeningWriter, openingSequence } from './opening-blocks.ts'
import { type LedgerNames, ledgerNames } from './tables.ts'

/** In place of a generation: what stood in each total before is not known, and never will be. */
export const UNKNOWN_GENERATION = U64_MAX

/** What has come of taking it. */
export interface OpeningTaken {
  /** It cannot be taken any more: a batch of an earlier version is open, and some of it is applied. */
  readonly isUnknown: boolean
  /** By how much the totals differed then from what the ledger had counted into them. */
  readonly difference: bigint
}

/**
 * Takes the opening balance, unless it is taken. To be called before this parser claims anything, and
 * once batches that had begun are looked after. Safe to repeat after a crash at any point, and by
 * several parsers at once.
 *
 * Of a ledger that has counted before, in an earlier version, all that was counted becomes part of it:
 * its postings are folded.
 *
 * @returns undefined: it was taken before.
 */
export async function takeOpening(
  session: Session,
  config: Config,
  ledgerUuid: string,
): Promise<OpeningTaken | undefined> {
  const names = ledgerNames(config)
  const named = await namedGeneration(session, names)
  if (named !== undefined) {
    await removeOthers(session, names, named)
    return undefined
  }
  const [open] = await session.query(
    `SELECT 1 FROM ${names.batch} WHERE state <> 'applied' LIMIT 1`,
  )
  if (open !== undefined) {
    const changed = await session.execute(
      `UPDATE ${names.meta} SET opening_generation = ? WHERE opening_generation IS NULL`,
      [UNKNOWN_GENERATION.toString()],
    )
    // Else somebody has taken it meanwhile, and begun to count.
    return changed === 0 ? undefined : { isUnknown: true, difference: 0n }
  }
  const own = BigInt(randomInt(1, GENERATIONS))
  crashPoint('O1-before-packed')
  const taken = await packTotals(session, config, { ledgerUuid, generation: own })
  const generation = taken.rows === 0 ? 0n : own
  crashPoint('O1-packed')
  const result = await transaction<OpeningTaken | undefined>(session, async undo => {
    const [meta] = await session.query<{ generation: bigint | null }>(
      `SELECT opening_generation AS generation FROM ${names.meta} WHERE only_row = 1 FOR UPDATE`,
    )
    if (meta?.generation != null) return undo(undefined)
    if (!(await areThere(session, names, generation, taken))) return undo(undefined)
    const difference = await nameGeneration(session, names, generation, taken)
    return { isUnknown: false, difference }
  })
  if (result === undefined) {
    await removeGeneration(session, names, own)
    // Somebody else was quicker, or our blocks are not there: then it is tried again.
    return takeOpening(session, config, ledgerUuid)
  }
  crashPoint('O2-taken')
  await removeOthers(session, names, generation)
  return result
}

/** @returns by how much the totals differ from what was counted into them. */
async function nameGeneration(
  session: Session,
  { meta, posting, batch }: LedgerNames,
  generation: bigint,
  { rows, amount, largest }: Taken,
): Promise<bigint> {
  const raised = 'GREATEST(total_upper_bound, CAST(? AS DECIMAL(38,0)))'
  const folded = await session.execute(`UPDATE ${posting} SET folded = 1 WHERE folded = 0`)
  const [before] = await session.query<{ expected: string | null; hasCounted: bigint }>(
    `SELECT opening_amount + COALESCE((SELECT SUM(amount_applied) FROM ${batch}), 0) AS expected,
            EXISTS (SELECT 1 FROM ${batch}) AS hasCounted FROM ${meta}`,
  )
  const hasCounted = folded > 0 || Number(before?.hasCounted) === 1
  await session.execute(
    `UPDATE ${meta} SET opening_generation = ?, total_upper_bound = ${raised}
            ${hasCounted ? '' : ', opening_rows = ?, opening_amount = ?'}
      WHERE only_row = 1`,
    [generation, largest.toString(), ...(hasCounted ? [] : [rows, amount.toString()])],
  )
  return hasCounted ? amount - BigInt(before?.expected ?? 0) : 0n
}

/** What the snapshot has held. */
interface Taken {
  readonly rows: number
  readonly amount: bigint
  readonly largest: bigint
  readonly blocks: number
  readonly wide: number
}

async function packTotals(
  session: Session,
  config: Config,
  opening: { readonly ledgerUuid: string; readonly generation: bigint },
): Promise<Taken> {
  const names = ledgerNames(config)
  const { totals, id, amount } = names
  const writer = new OpeningWriter(session, names, opening)
  let rows = 0
  let sum = 0n
  let largest = 0n
  // Under READ COMMITTED a consistent snapshot is silently none.
  await session.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await session.execute('START TRANSACTION WITH CONSISTENT SNAPSHOT')
  try {
    for (let where = ''; ; ) {
      const page = await session.query<{ id: bigint | number; amount: bigint | string }>(
        `SELECT ${id} AS id, COALESCE(${amount}, 0) AS amount FROM ${totals} ${where}
          ORDER BY ${id} LIMIT ${ROWS_AT_ONCE}`,
      )
      for (const row of page) {
        const [one, value] = [BigInt(row.id), BigInt(row.amount)]
        rows += 1
        sum += value
        if (value > largest) largest = value
        const fits = one >= 0n && value >= 0n && value <= U64_MAX
        if (!(fits ? writer.add(one, value) : writer.addWide(one, value))) await writer.write()
      }
      if (page.length < ROWS_AT_ONCE) break
      where = `WHERE ${id} > ${page.at(-1)!.id}`
    }
    await writer.end()
    await session.execute('COMMIT')
  } catch (error) {
    if (session.isUsable) await session.rollback()
    throw error
  }
  return { rows, amount: sum, largest, blocks: writer.blocks, wide: writer.wide }
}

async function areThere(
  session: Session,
  { sums, opening_wide }: LedgerNames,
  generation: bigint,
  taken: Taken,
): Promise<boolean> {
  const [row] = await session.query<{ blocks: bigint; wide: bigint }>(
    `SELECT (SELECT COUNT(*) FROM ${sums} WHERE file_sequence = ?) AS blocks,
            (SELECT COUNT(*) FROM ${opening_wide} WHERE generation = ?) AS wide`,
    [openingSequence(generation), generation],
  )
  return Number(row?.blocks) === taken.blocks && Number(row?.wide) === taken.wide
}

/**
 * All that is committed but the one that is named; what somebody still packs is not waited for. Those that
 * close the books are left to whoever counts.
 */
async function removeOthers(session: Session, names: LedgerNames, named: bigint): Promise<void> {
  const left = await session.query<{ generation: bigint }>(
    `SELECT DISTINCT ? - file_sequence AS generation FROM ${names.sums}
      WHERE file_sequence >= ? AND file_sequence <> ?
      UNION SELECT generation FROM ${names.opening_wide} WHERE generation <> ? AND generation <= ?`,
    [
      ...[U64_MAX, openingSequence(BigInt(GENERATIONS)), openingSequence(named)],
      ...[named, GENERATIONS],
    ],
  )
  for (const { generation } of left) await removeGeneration(session, names, BigInt(generation))
}

async function removeGeneration(
  session: Session,
  { sums, opening_wide }: LedgerNames,
  generation: bigint,
): Promise<void> {
  await session.execute(`DELETE FROM ${sums} WHERE file_sequence = ?`, [
    openingSequence(generation),
  ])
  await session.execute(`DELETE FROM ${opening_wide} WHERE generation = ?`, [generation])
}

/** Of the totals: some twenty milliseconds of this process's time. */
const ROWS_AT_ONCE = 16_384
