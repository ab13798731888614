import type { Session } from '../../parser/ledger/connection.ts'
import type { LedgerNames } from '../../parser/ledger/schema/tables.ts'
import { amountOf, sha256Of, totalsOf } from '../helpers/files.ts'
import type { Expected } from './model.ts'

/**
 * The totals once more, made from the postings: which batch has moved which content in which direction
 * is the ledger's word, what a content holds is found in the plainest way. Each batch must be what its
 * contents hold, each content posted as often as it was counted, and all of it the totals.
 */
export async function wrongPostings(
  session: Session,
  n: LedgerNames,
  { counted, contents, opening, raised }: Expected,
): Promise<string[]> {
  const known = new Map(contents.map(content => [sha256Of(content), content]))
  const rows = await session.query<PostingRow>(
    `SELECT LOWER(HEX(p.batch_id)) AS batch, p.n, p.folded, LOWER(HEX(f.sha256)) AS sha256
       FROM ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence`,
  )
  const faults: string[] = []
  const postedTotals = new Map(opening)
  const posted = new Map<string, bigint>()
  const batches = new Map<string, { pairs: bigint; amount: bigint }>()
  for (const { batch, n: number, folded, sha256 } of rows) {
    const content = known.get(sha256)
    if (content === undefined || Number(folded) !== 0) {
      faults.push(`postings: of ${sha256}, which nobody has published, or folded`)
      continue
    }
    const sign = Number(number) % 2 === 1 ? 1n : -1n
    posted.set(sha256, (posted.get(sha256) ?? 0n) + sign)
    const sums = totalsOf([{ name: sha256, content }])
    const of = batches.get(batch) ?? { pairs: 0n, amount: 0n }
    of.pairs += BigInt(sums.size)
    of.amount += sign * amountOf(content)
    batches.set(batch, of)
    for (const [id, sum] of sums) postedTotals.set(id, (postedTotals.get(id) ?? 0n) + sign * sum)
  }
  for (const sha256 of new Set([...posted.keys(), ...counted.keys()])) {
    const times = posted.get(sha256) ?? 0n
    if (times !== (counted.has(sha256) ? 1n : 0n)) {
      faults.push(`postings: ${sha256} stands in the totals ${times} times`)
    }
  }
  const own = [...postedTotals.values()].reduce((sum, one) => sum + one, 0n)
  const [row] = await session.query<{ all: string | null }>(
    `SELECT SUM(${n.amount}) AS \`all\` FROM ${n.totals}`,
  )
  const all = BigInt(row?.all ?? 0)
  if (own + raised !== all) faults.push(`postings: together ${own}, and the totals ${all - raised}`)
  return [...faults, ...(await wrongBatches(session, n, batches))]
}

async function wrongBatches(
  session: Session,
  n: LedgerNames,
  batches: ReadonlyMap<string, { readonly pairs: bigint; readonly amount: bigint }>,
): Promise<string[]> {
  const rows = await session.query<{ id: string; told: string }>(
    `SELECT LOWER(HEX(id)) AS id, CONCAT_WS(' ', state, pairs_planned, pairs_applied, amount_planned,
            amount_applied) AS told FROM ${n.batch}`,
  )
  const found = new Map(rows.map(({ id, told }) => [id, told]))
  const faults: string[] = []
  for (const id of new Set([...found.keys(), ...batches.keys()])) {
    const { pairs, amount } = batches.get(id) ?? { pairs: 0n, amount: 0n }
    const expected = `applied ${pairs} ${pairs} ${amount} ${amount}`
    const told = found.get(id) ?? 'not there'
    if (told !== expected) faults.push(`batch ${id} is ${told}, of its files ${expected}`)
  }
  return faults
}

interface PostingRow {
  readonly batch: string
  readonly n: number | bigint
  readonly folded: number | bigint
  readonly sha256: string
}
