/**
 * Whether usage by time agrees with itself and with what was rolled up: what all periods of a kind have, and
 * what was dropped of them, is what all roll-ups have applied; each has applied what it planned, which is
 * what its postings have; and of each period the consumers have together what stands for all of them.
 */

import type { Config } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { type LedgerNames, ledgerNames } from '../schema/tables.ts'
import { type Finding, namedBy, POSTED } from './ledger-proof.ts'

/** @param byName also of what is as much as there are postings or consumers. */
export async function proveUsage(
  session: Session,
  config: Config,
  byName: boolean,
): Promise<readonly Finding[]> {
  const names = ledgerNames(config)
  const findings: Finding[] = []
  for (const sql of [...QUERIES, ...(byName ? BY_NAME : [])]) {
    findings.push(...(await namedBy(session, 'usage', sql(names))))
  }
  return findings
}

const QUERIES: readonly ((n: LedgerNames) => string)[] = [
  n => `
    SELECT CONCAT('by ', p.granularity, ' there are ', COALESCE(SUM(u.amount), 0), ', dropped are ', p.dropped,
                  ', and ', r.amount, ' were rolled up') AS text
      FROM ${n.period} p LEFT JOIN ${n.usage} u ON u.granularity = p.granularity
     CROSS JOIN (SELECT COALESCE(SUM(amount_applied), 0) AS amount FROM ${n.rollup}) r
     GROUP BY p.granularity, p.dropped, r.amount
    HAVING COALESCE(SUM(u.amount), 0) + p.dropped <> r.amount`,
  n => `
    SELECT CONCAT('roll-up ', r.n, ' is applied, ', r.pairs_applied, ' pairs and ', r.amount_applied,
                  ' of ', r.pairs_planned, ' and ', r.amount_planned) AS text
      FROM ${n.rollup} r
     WHERE r.state = 'applied'
       AND (r.pairs_applied <> r.pairs_planned OR r.amount_applied <> r.amount_planned)`,
  n => `
    SELECT CONCAT('the ', u.granularity, ' of ', u.period_start, ' has ', u.amount,
                  IF(u.amount < 0, '', ', and is dropped')) AS text
      FROM ${n.usage} u JOIN ${n.period} p ON p.granularity = u.granularity
     WHERE u.amount < 0 OR u.period_start < p.kept_from`,
]

const BY_NAME: readonly ((n: LedgerNames) => string)[] = [
  n => `
    SELECT CONCAT('roll-up ', r.n, ' has ', r.amount_planned, ', and its files ', COALESCE(m.amount, 0)) AS text
      FROM ${n.rollup} r
      LEFT JOIN (SELECT p.rolled, SUM(${POSTED} * f.amount) AS amount
                   FROM ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence
                  WHERE p.rolled IS NOT NULL GROUP BY p.rolled) m ON m.rolled = r.n
     WHERE r.amount_planned <> COALESCE(m.amount, 0)`,
  n => `
    SELECT CONCAT('posting ', p.n, ' of file ', p.file_sequence, ' is of roll-up ', p.rolled,
                  IF(r.n IS NULL, ', which is not there', ', and has no day')) AS text
      FROM ${n.posting} p LEFT JOIN ${n.rollup} r ON r.n = p.rolled
     WHERE p.rolled IS NOT NULL AND (r.n IS NULL OR p.day IS NULL)`,
  n =>
    ofConsumers(
      n,
      'hour',
      `SELECT period_start, amount FROM ${n.usage_block}
                     UNION ALL SELECT period_start, amount FROM ${n.usage_wide}`,
    ),
  n => ofConsumers(n, 'day', `SELECT period_start, amount FROM ${n.usage_day}`),
  n => ofConsumers(n, 'month', `SELECT period_start, amount FROM ${n.usage_month}`),
]

/** What is not kept any more may still be there. */
function ofConsumers(n: LedgerNames, granularity: string, rows: string): string {
  return `
    SELECT CONCAT('the ${granularity} of ', b.period_start, ' has ', SUM(b.all_amount),
                  ', and its consumers ', SUM(b.amount)) AS text
      FROM (SELECT period_start, amount AS all_amount, 0 AS amount FROM ${n.usage}
             WHERE granularity = '${granularity}'
             UNION ALL
            SELECT CAST(c.period_start AS DATETIME), 0, SUM(c.amount) FROM (${rows}) c GROUP BY c.period_start) b
     WHERE b.period_start >= COALESCE((SELECT kept_from FROM ${n.period}
                                        WHERE granularity = '${granularity}'), '0001-01-01')
     GROUP BY b.period_start HAVING SUM(b.all_amount) <> SUM(b.amount)`
}
