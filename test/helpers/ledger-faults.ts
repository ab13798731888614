import type { Session } from '../../parser/ledger/connection.ts'
import type { LedgerNames } from '../../parser/ledger/schema/tables.ts'
import { unpackPlainly } from '../../parser/sums/index.ts'
import { sha256Of, totalsOf } from './files.ts'

/**
 * Where the ledger's tables contradict each other, or the contents that they are about: in words, and
 * nothing when all is well. Holds at any moment at which nobody writes, whatever is still to be done.
 *
 * @param contents of the files that may be in it.
 */
export async function ledgerFaults(
  session: Session,
  n: LedgerNames,
  contents: readonly Buffer[],
): Promise<string[]> {
  const faults: string[] = []
  for (const [what, where] of Object.entries(CONTRADICTIONS)) {
    const rows = await session.query<{ key: string }>(where(n))
    if (rows.length > 0) faults.push(`${what}: ${rows.map(({ key }) => key).join(', ')}`)
  }
  return [...faults, ...(await wrongBlocks(session, n, contents))]
}

/** The blocks of an opening balance stand under sequences from there on. */
const OPENING_FROM = 2n ** 63n

/** Each finds rows that there must not be. */
const CONTRADICTIONS: Readonly<Record<string, (n: LedgerNames) => string>> = {
  'staged, and not on the list of what waits': n =>
    `SELECT f.sequence AS \`key\` FROM ${n.file} f LEFT JOIN ${n.todo} t
         ON t.file_sequence = f.sequence AND t.kind = IF(f.state = 'held', 'decide', 'count')
      WHERE f.state IN ('staged', 'held') AND t.kind IS NULL`,
  'on the list of what waits, and not staged': n =>
    `SELECT t.file_sequence AS \`key\` FROM ${n.todo} t LEFT JOIN ${n.file} f ON t.file_sequence = f.sequence
      WHERE t.kind <> 'move' AND COALESCE(f.state, '') <> IF(t.kind = 'decide', 'held', 'staged')`,
  'its postings are not as many as its row says': n =>
    `SELECT f.sequence AS \`key\` FROM ${n.file} f
      WHERE f.postings <> (SELECT COUNT(*) FROM ${n.posting} p WHERE p.file_sequence = f.sequence)
         OR f.postings <> IF(f.state IN ('applying', 'applied'), 1, 0)`,
  'its last posting is not in a batch of its state': n =>
    `SELECT f.sequence AS \`key\` FROM ${n.file} f
       JOIN ${n.posting} p ON p.file_sequence = f.sequence AND p.n = f.postings
       LEFT JOIN ${n.batch} b ON b.id = p.batch_id
      WHERE NOT p.folded AND (b.id IS NULL OR (f.state = 'applied') <> (b.state = 'applied'))`,
  'a posting without a file': n =>
    `SELECT p.file_sequence AS \`key\` FROM ${n.posting} p LEFT JOIN ${n.file} f ON f.sequence = p.file_sequence
      WHERE f.sequence IS NULL`,
  'a batch without a file': n =>
    `SELECT HEX(b.id) AS \`key\` FROM ${n.batch} b
      WHERE NOT EXISTS (SELECT 1 FROM ${n.posting} p WHERE p.batch_id = b.id)`,
  'a batch that does not plan what its files hold': n =>
    `SELECT HEX(b.id) AS \`key\` FROM ${n.batch} b
       JOIN ${n.posting} p ON p.batch_id = b.id JOIN ${n.file} f ON f.sequence = p.file_sequence
      GROUP BY b.id, b.pairs_planned, b.amount_planned
     HAVING SUM(f.pairs) <> b.pairs_planned OR SUM(f.amount) <> b.amount_planned`,
  'an applied batch that is not applied as planned': n =>
    `SELECT HEX(id) AS \`key\` FROM ${n.batch}
      WHERE state = 'applied' AND (pairs_applied <> pairs_planned OR amount_applied <> amount_planned
         OR ended_at IS NULL)`,
  'sums without a file': n =>
    `SELECT DISTINCT s.file_sequence AS \`key\` FROM ${n.sums} s LEFT JOIN ${n.file} f ON f.sequence = s.file_sequence
      WHERE f.sequence IS NULL AND s.file_sequence < ${OPENING_FROM}`,
  'what is recorded is not what its row says': n =>
    `SELECT f.sequence AS \`key\` FROM ${n.file} f LEFT JOIN ${n.sums} s ON s.file_sequence = f.sequence
      WHERE f.pairs IS NOT NULL
      GROUP BY f.sequence, f.state, f.pairs, f.amount, f.pairs_recorded, f.amount_recorded
     HAVING COALESCE(SUM(s.pairs), 0) <> f.pairs_recorded OR COALESCE(SUM(s.amount), 0) <> f.amount_recorded
         OR (f.state <> 'staging' AND (f.pairs_recorded <> f.pairs OR f.amount_recorded <> f.amount))`,
}

/** The blocks of each content hold exactly its sums, ascending; of one half recorded the first of them. */
async function wrongBlocks(
  session: Session,
  n: LedgerNames,
  contents: readonly Buffer[],
): Promise<string[]> {
  const known = new Map(contents.map(content => [sha256Of(content), content]))
  const files = await session.query<{
    sequence: bigint
    sha256: Buffer
    name: string
    state: string
    pairs: bigint | null
  }>(`SELECT sequence, sha256, name, state, pairs FROM ${n.file} WHERE pairs IS NOT NULL`)
  const faults: string[] = []
  for (const { sequence, sha256, name, state } of files) {
    const content = known.get(sha256.toString('hex'))
    if (content === undefined) {
      faults.push(`${name} has a row, and nobody has published it`)
      continue
    }
    const found = await recordedPairs(session, n, sequence, sha256)
    const pairs = [...totalsOf([{ name, content }])].sort(([a], [b]) => (a < b ? -1 : 1))
    const expected = (state === 'staging' ? pairs.slice(0, found.length) : pairs).map(tell)
    if (expected.join() !== found.join()) {
      faults.push(`${name} (${state}): ${found.length} pairs are recorded, not its ${pairs.length}`)
    }
  }
  return faults
}

async function recordedPairs(
  session: Session,
  n: LedgerNames,
  sequence: bigint,
  sha256: Buffer,
): Promise<string[]> {
  const blocks = await session.query<{
    firstId: bigint
    lastId: bigint
    pairs: number | bigint
    amount: string
    crc: number | bigint
    block: Buffer
  }>(
    `SELECT first_id AS firstId, last_id AS lastId, pairs, amount, crc, block FROM ${n.sums}
      WHERE file_sequence = ? ORDER BY first_id`,
    [sequence],
  )
  return blocks.flatMap(({ firstId, lastId, pairs, amount, crc, block }) => {
    const { ids, amounts } = unpackPlainly(sha256, {
      ...{ firstId, lastId, pairs: Number(pairs), amount: BigInt(amount) },
      ...{ crc: Number(crc), bytes: block },
    })
    return Array.from(ids, (id, i) => tell([id, amounts[i]!]))
  })
}

function tell([id, amount]: readonly [bigint, bigint]): string {
  return `${id} ${amount}`
}
