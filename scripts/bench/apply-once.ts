import { randomBytes } from 'node:crypto'
import { type Batch, Ledger, newBatchId, type Session } from '../../parser/ledger/index.ts'
import { MemorySums } from '../../parser/sums/index.ts'
import { readConfig } from '../../shared/config.ts'
import { ParserEvents } from '../../shared/events.ts'
import { U64_MAX } from '../../shared/limits.ts'
import type { Pairs } from './pairs-table.ts'
import { mustEqual } from './row.ts'
import type { Site } from './site.ts'

/** The pairs that are added, as a table. */
export const SOURCE = 'bench_source'

/** The id of a row that is in no set of pairs. */
const BYSTANDER = U64_MAX

/** A table of pairs, and how its amounts are called. */
export interface PairsColumn {
  readonly table: string
  readonly amount: string
}

export function ourTotals({ config }: Site): PairsColumn {
  return { table: config.totalsTable, amount: config.totalsAmountColumn }
}

/** The parser's ledger, on the site's database. */
export function ledgerOf(site: Pick<Site, 'config' | 'address'>): Ledger {
  return new Ledger({
    config: site.config,
    address: () => site.address,
    instance: randomBytes(16),
    signal: new AbortController().signal,
    events: new ParserEvents(),
  })
}

/** Empties a table but for one row: in totals without any, nothing would be counted. */
export async function emptyTable(session: Session, table: string): Promise<void> {
  await session.execute(`TRUNCATE TABLE ${table}`)
  await session.execute(`INSERT INTO ${table} VALUES (${BYSTANDER}, 0)`)
}

/** One batch of one content that nobody has seen. */
export async function applyOnce(
  ledger: Ledger,
  { ids, amounts, amount, largest }: Pairs,
): Promise<void> {
  const sums = new MemorySums(ids, amounts)
  const nowMs = Date.now()
  const batch: Batch = {
    id: newBatchId(),
    amount,
    sums,
    files: [
      {
        ...{ sums, amount, largestSum: largest, lines: ids.length, sizeBytes: 1 },
        ...{ sha256: randomBytes(32), workSequence: nowMs, name: 'bench' },
        ...{ claimedAtMs: nowMs, digestedAtMs: nowMs },
      },
    ],
  }
  await countAsTheParserDoes(ledger, batch)
}

/** In one transaction if it fits one, else recorded and counted from the ledger. */
async function countAsTheParserDoes(ledger: Ledger, batch: Batch): Promise<void> {
  const { counter, recorder } = ledger
  await counter.takeLease()
  if (batch.sums.pairs <= readConfig({}).chunkPairsMax) {
    mustEqual('the outcome of the batch', (await counter.countWhole(batch)).kind, 'applied')
    return
  }
  await recorder.record(batch.files, () => false)
  const files = await counter.waiting(batch.files.length)
  mustEqual(
    'the outcome of the batch',
    (await counter.countStaged({ id: batch.id, files })).kind,
    'applied',
  )
}

/** Row by row in the server: every total is what it must be. */
export async function checkSums(
  session: Session,
  { table, amount }: PairsColumn,
  { pairs, rounds, opening }: { pairs: number; rounds: number; opening: number | string },
): Promise<void> {
  const [row] = await session.query<{ matching: bigint; found: bigint }>(
    `SELECT COUNT(*) AS matching, (SELECT COUNT(*) FROM ${table} WHERE id <> ${BYSTANDER}) AS found
       FROM ${SOURCE} s JOIN ${table} t ON t.id = s.id AND t.${amount} = ${opening} + s.amount * ${rounds}`,
  )
  mustEqual(`rows of ${table}`, row?.found ?? 0, pairs)
  mustEqual(`right rows of ${table}`, row?.matching ?? 0, pairs)
}
