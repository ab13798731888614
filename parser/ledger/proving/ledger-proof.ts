/**
 * Whether the ledger agrees with itself, with the totals, and with what a journal knows: all of it as of
 * one moment, without a look at single consumers. Each check is a query that names what is wrong.
 */

import type { Config } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { OPENING_SEQUENCE_MIN } from '../schema/opening-blocks.ts'
import { type LedgerNames, ledgerNames } from '../schema/tables.ts'
import type { Witness } from '../schema/witnesses.ts'

export const LEDGER_CHECKS = [
  'tables',
  'totals',
  'batches',
  'files',
  'postings',
  'waiting',
  'orders',
  'journal',
  'blocks',
  'usage',
] as const
export type LedgerCheck = (typeof LEDGER_CHECKS)[number]

/** Something that is not as it must be. */
export interface Finding {
  readonly check: LedgerCheck
  /** For people: which thing, what was found, what was expected. */
  readonly text: string
}

/** The numbers that must agree, of one moment. */
export interface LedgerSums {
  readonly ledgerUuid: string
  readonly totals: bigint
  /** Rows in the table of totals. */
  readonly totalsRows: number
  readonly opening: bigint
  /** By all batches, signed. */
  readonly counted: bigint
  readonly batchesOpen: number
}

/** undefined: no ledger was begun here. */
export async function readLedgerSums(
  session: Session,
  n: LedgerNames,
): Promise<LedgerSums | undefined> {
  const [row] = await session.query<Record<keyof LedgerSums, string | bigint>>(
    `SELECT ledger_uuid AS ledgerUuid, opening_amount AS opening,
            t.totals, t.totalsRows,
            (SELECT COALESCE(SUM(amount_applied), 0) FROM ${n.batch}) AS counted,
            (SELECT COUNT(*) FROM ${n.batch} WHERE state <> 'applied') AS batchesOpen
       FROM ${n.meta},
            (SELECT COALESCE(SUM(${n.amount}), 0) AS totals, COUNT(*) AS totalsRows FROM ${n.totals}) t`,
  )
  if (row === undefined) return undefined
  return {
    ledgerUuid: String(row.ledgerUuid),
    totals: BigInt(row.totals),
    totalsRows: Number(row.totalsRows),
    opening: BigInt(row.opening),
    counted: BigInt(row.counted),
    batchesOpen: Number(row.batchesOpen),
  }
}

/**
 * All that is wrong, of each kind as much as is worth reading.
 *
 * @param byName also of files, postings and batches one by one, which takes several looks at each;
 * left out where `takeRollCall` has found nothing.
 */
export async function proveLedger(
  session: Session,
  config: Config,
  sums: LedgerSums,
  { journal, byName }: { readonly journal: readonly Witness[]; readonly byName: boolean },
): Promise<readonly Finding[]> {
  const names = ledgerNames(config)
  const findings: Finding[] = []
  const expected = sums.opening + sums.counted
  if (sums.totals !== expected) {
    const text = `the totals are ${sums.totals} together, and opening balance and batches make ${expected}: ${excess(sums.totals - expected)}`
    findings.push({ check: 'totals', text })
  }
  for (const { check, sql } of byName ? QUERIES : QUERIES.filter(({ isQuick }) => isQuick)) {
    findings.push(...(await namedBy(session, check, sql(names))))
  }
  findings.push(...(await compareJournal(session, names, journal)))
  return findings
}

function excess(amount: bigint): string {
  return amount < 0n ? `${-amount} too little` : `${amount} too much`
}

export async function namedBy(
  session: Session,
  check: LedgerCheck,
  sql: string,
): Promise<Finding[]> {
  const rows = await session.query<{ text: string }>(`${sql} LIMIT ${NAMED_MAX + 1}`)
  return firstOnes(rows.map(({ text }) => ({ check, text: String(text) })))
}

/** Of one kind; where there are more, the last one says so. */
function firstOnes(findings: readonly Finding[]): Finding[] {
  const named = findings.slice(0, NAMED_MAX)
  const [next] = findings.slice(NAMED_MAX)
  return next === undefined ? named : [...named, { check: next.check, text: 'and more like these' }]
}

/**
 * Whether each content has exactly the blocks that its row tells of. Their bytes are not looked at, but
 * of every content there is.
 */
export async function proveBlocks(session: Session, config: Config): Promise<readonly Finding[]> {
  const names = ledgerNames(config)
  const findings: Finding[] = []
  for (const sql of BLOCK_QUERIES) findings.push(...(await namedBy(session, 'blocks', sql(names))))
  return findings
}

/** Of one kind. */
export const NAMED_MAX = 100

/** 1 for a posting that adds, -1 for one that takes away. */
export const POSTED = 'IF(p.n % 2 = 1, f.sign, -f.sign)'
const FILE = `CONCAT(f.name, ' (', LOWER(HEX(LEFT(f.sha256, 8))), ')')`
const BATCH = `CONCAT('batch ', LOWER(HEX(b.id)))`

/** Each gives a row with a `text` for each thing that is wrong. */
const QUERIES: readonly {
  /** It goes through a small table only. */
  readonly isQuick?: true
  readonly check: LedgerCheck
  readonly sql: (n: LedgerNames) => string
}[] = [
  {
    check: 'batches',
    sql: n => `
      SELECT CONCAT(${BATCH}, ' is applied, ', b.pairs_applied, ' pairs and ', b.amount_applied,
                    ' of ', b.pairs_planned, ' and ', b.amount_planned) AS text
        FROM ${n.batch} b
       WHERE b.state = 'applied'
         AND (b.pairs_applied <> b.pairs_planned OR b.amount_applied <> b.amount_planned)`,
  },
  {
    check: 'batches',
    sql: n => `
      SELECT CONCAT(${BATCH}, ' has ', b.amount_planned,
                    COALESCE(CONCAT(', and its files ', m.amount), ', and no file')) AS text
        FROM ${n.batch} b
        LEFT JOIN (SELECT p.batch_id, SUM(${POSTED} * f.amount) AS amount
                     FROM ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence
                    GROUP BY p.batch_id) m ON m.batch_id = b.id
       WHERE m.amount IS NULL OR b.amount_planned <> m.amount`,
  },
  {
    check: 'files',
    sql: n => `
      SELECT CONCAT(${FILE}, ' is ', f.state, ', and ', f.pairs_recorded, ' consumers with ',
                    f.amount_recorded, ' are recorded of ', f.pairs, ' with ', f.amount) AS text
        FROM ${n.file} f
       WHERE f.state <> 'staging' AND f.pairs IS NOT NULL
         AND (f.pairs_recorded <> f.pairs OR f.amount_recorded <> f.amount)`,
  },
  {
    check: 'postings',
    sql: n => `
      SELECT CONCAT(${FILE}, ' is ', f.state, ' and says it has ', f.postings, ' postings, which are ',
                    COUNT(p.n)) AS text
        FROM ${n.file} f LEFT JOIN ${n.posting} p ON p.file_sequence = f.sequence
       GROUP BY f.sequence
      HAVING COUNT(p.n) <> MAX(f.postings) OR COALESCE(MAX(p.n), 0) <> MAX(f.postings)
          OR MAX(f.postings) % 2 <> MAX(f.state IN ('applying', 'applied'))`,
  },
  {
    check: 'postings',
    sql: n => `
      SELECT CONCAT('posting ', p.n, ' of file ', p.file_sequence, ' is of ',
                    IF(f.sequence IS NULL, 'a file', 'a batch'), ' that is not there') AS text
        FROM ${n.posting} p LEFT JOIN ${n.file} f ON f.sequence = p.file_sequence
        LEFT JOIN ${n.batch} b ON b.id = p.batch_id
       WHERE f.sequence IS NULL OR b.id IS NULL`,
  },
  {
    check: 'postings',
    sql: n => `
      SELECT CONCAT(${FILE}, ' is ', f.state, ', and its batch ', LOWER(HEX(b.id)), ' is ', b.state) AS text
        FROM ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence AND f.postings = p.n
        JOIN ${n.batch} b ON b.id = p.batch_id
       WHERE (f.state IN ('applying', 'reverting')) = (b.state = 'applied')`,
  },
  {
    check: 'waiting',
    isQuick: true,
    sql: n => `
      SELECT CONCAT('file ', d.file_sequence, ' is to be counted, and is ',
                    COALESCE(f.state, 'not there')) AS text
        FROM ${n.todo} d LEFT JOIN ${n.file} f ON f.sequence = d.file_sequence
       WHERE d.kind = 'count' AND (f.state IS NULL OR f.state <> 'staged')`,
  },
  {
    check: 'waiting',
    sql: n => `
      SELECT CONCAT(${FILE}, ' is staged, and nothing asks for it to be counted') AS text
        FROM ${n.file} f
       WHERE f.state = 'staged'
         AND NOT EXISTS (SELECT 1 FROM ${n.todo} d WHERE d.kind = 'count' AND d.file_sequence = f.sequence)
         AND NOT EXISTS (SELECT 1 FROM ${n.order} o WHERE o.new = f.sequence AND o.state = 'waiting')`,
  },
  {
    check: 'orders',
    isQuick: true,
    sql: n => `
      SELECT CONCAT('the order ', LOWER(HEX(o.id)), ' to ', o.kind, ' is ', o.state, ', and its batch is ',
                    COALESCE(b.state, 'not there')) AS text
        FROM ${n.order} o LEFT JOIN ${n.batch} b ON b.id = o.batch_id
       WHERE (o.state = 'working' AND o.kind <> 'prune' AND (b.state IS NULL OR b.state = 'applied'))
          OR (o.state = 'done' AND o.batch_id IS NOT NULL AND (b.state IS NULL OR b.state <> 'applied'))`,
  },
]

const BLOCK_QUERIES: readonly ((n: LedgerNames) => string)[] = [
  // By the primary keys of both, one file after the other. What is part of the opening balance needs none.
  n => `
    SELECT CONCAT(${FILE}, ' has blocks of ', COALESCE(SUM(s.pairs), 0), ' consumers with ',
                  COALESCE(SUM(s.amount), 0), ', recorded are ', f.pairs_recorded, ' with ',
                  f.amount_recorded) AS text
      FROM ${n.file} f LEFT JOIN ${n.sums} s ON s.file_sequence = f.sequence
     WHERE NOT EXISTS (SELECT 1 FROM ${n.posting} p
                        WHERE p.file_sequence = f.sequence AND p.n = f.postings AND p.folded = 1)
     GROUP BY f.sequence
    HAVING COALESCE(SUM(s.pairs), 0) <> MAX(f.pairs_recorded)
        OR COALESCE(SUM(s.amount), 0) <> MAX(f.amount_recorded)`,
  n => `
    SELECT CONCAT('there are ', COUNT(*), ' blocks of file ', s.file_sequence, ', which is not there') AS text
      FROM ${n.sums} s LEFT JOIN ${n.file} f ON f.sequence = s.file_sequence
     WHERE f.sequence IS NULL AND s.file_sequence < ${OPENING_SEQUENCE_MIN}
     GROUP BY s.file_sequence`,
]

/** What the journal knows to be counted stands there, counted, under the same sequence. */
async function compareJournal(
  session: Session,
  { file }: LedgerNames,
  journal: readonly Witness[],
): Promise<Finding[]> {
  const findings: Finding[] = []
  const atOnce = Math.min(HASHES_AT_ONCE, session.rowsPerStatement(HASH_BYTES_MAX))
  for (let at = 0; at < journal.length; at += atOnce) {
    const some = journal.slice(at, at + atOnce)
    const rows = await session.query<CountedRow>(
      `SELECT sha256, sequence, state, postings FROM ${file}
        WHERE sha256 IN (${some.map(({ sha256 }) => `x'${hex(sha256)}'`).join(', ')})`,
    )
    const found = new Map(rows.map(row => [hex(row.sha256), row]))
    for (const { sha256, sequence } of some) {
      const row = found.get(hex(sha256))
      const wrong =
        row === undefined
          ? 'is not there'
          : !wasCounted(row)
            ? `is ${row.state} there`
            : sequence !== undefined && row.sequence !== sequence
              ? `has the sequence ${row.sequence} there, not ${sequence}`
              : undefined
      if (wrong === undefined) continue
      const text = `the content ${hex(sha256).slice(0, 16)}, which the journal knows to be counted, ${wrong}`
      findings.push({ check: 'journal', text })
    }
  }
  return firstOnes(findings)
}

interface CountedRow {
  readonly sha256: Buffer
  readonly sequence: bigint
  readonly state: string
  readonly postings: number
}

/** A journal may be behind: what was counted once may be taken back by now, or be counted again. */
function wasCounted({ state, postings }: CountedRow): boolean {
  return state === 'applied' || Number(postings) > 1
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Longer lists become a table of the server's first. */
const HASHES_AT_ONCE = 500
/** `x'…', `. */
const HASH_BYTES_MAX = 70
