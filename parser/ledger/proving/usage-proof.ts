/**
 * Whether usage by time agrees with itself and with what was rolled up: what all periods of a kind have, and
 * what was dropped of them, is what all roll-ups have applied; each has applied what it planned, which is
 * what its postings have; and each period has what the files have that were rolled up into it, and so have
 * its consumers together. (Of a period that a roll-up is moving its consumers tell, one by one.)
 */

import type { Config } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { GRANULARITIES, type Granularity, type LedgerNames, ledgerNames } from '../schema/tables.ts'
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
  n => `
    SELECT CONCAT('roll-up ', r.n, ' is under way, and is not the last one') AS text
      FROM ${n.rollup} r
     WHERE r.state = 'applying' AND r.n < (SELECT MAX(l.n) FROM ${n.rollup} l)`,
  ...GRANULARITIES.map(
    granularity => (n: LedgerNames) =>
      `
      SELECT 'of ${granularity}s it is not known from when on they are kept' AS text FROM ${n.meta}
       WHERE NOT EXISTS (SELECT 1 FROM ${n.period} p WHERE p.granularity = '${granularity}')`,
  ),
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
  n => `
    SELECT CONCAT('posting ', p.n, ' of file ', p.file_sequence, ' is of roll-up ', p.rolled,
                  ', and posting ', q.n, ' of none') AS text
      FROM ${n.posting} p
      JOIN ${n.posting} q ON q.file_sequence = p.file_sequence AND q.n = p.n - 1
     WHERE p.rolled IS NOT NULL AND q.rolled IS NULL AND q.folded = 0`,
  n => `
    SELECT CONCAT('posting ', p.n, ' of file ', p.file_sequence, ' leaves the day ', p.day_before,
                  ', and nothing brings it into another') AS text
      FROM ${n.posting} p
     WHERE p.day_before IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM ${n.rollup} r
                        WHERE r.state = 'applying' AND r.rezones_to >= p.file_sequence)`,
  n => ofFiles(n, 'hour', `DATE_FORMAT(f.used_at, '%Y-%m-%d %H:00:00')`),
  n => ofFiles(n, 'day', 'p.day', 'p.day_before'),
  n =>
    ofFiles(n, 'month', `DATE_FORMAT(p.day, '%Y-%m-01')`, `DATE_FORMAT(p.day_before, '%Y-%m-01')`),
  n =>
    ofConsumers(
      n,
      'hour',
      `SELECT period_start, amount FROM ${n.usage_block}
                     UNION ALL SELECT period_start, amount FROM ${n.usage_wide}`,
    ),
  n => ofConsumers(n, 'day', `SELECT period_start, amount FROM ${n.usage_day}`),
  n => ofConsumers(n, 'month', `SELECT period_start, amount FROM ${n.usage_month}`),
  n => belowZero('hour', n.usage_wide),
  n => belowZero('day', n.usage_day),
  n => belowZero('month', n.usage_month),
]

function belowZero(granularity: Granularity, table: string): string {
  return `
    SELECT CONCAT('consumer ', id, ' has ', amount, ' in the ${granularity} of ', period_start) AS text
      FROM ${table} WHERE amount < 0`
}

/**
 * @param start of the period of a posting `p` and its file `f`.
 * @param before of the one that it leaves while days are made anew.
 */
function ofFiles(n: LedgerNames, granularity: Granularity, start: string, before?: string): string {
  const left =
    before === undefined
      ? ''
      : `UNION ALL
            SELECT CAST(${before} AS DATETIME), 0, 0, 1 FROM ${n.posting} p
             WHERE p.day_before IS NOT NULL GROUP BY 1`
  const isMoving = `r.state <=> 'applying'${before === undefined ? '' : ' OR p.day_before IS NOT NULL'}`
  return `
    SELECT CONCAT('the ${granularity} of ', b.period_start, ' has ', SUM(b.amount),
                  ', and the files rolled up into it ', SUM(b.rolled)) AS text
      FROM (SELECT period_start, amount, 0 AS rolled, 0 AS is_moving FROM ${n.usage}
             WHERE granularity = '${granularity}'
             UNION ALL
            SELECT CAST(${start} AS DATETIME), 0, SUM(${POSTED} * f.amount), MAX(${isMoving})
              FROM ${n.posting} p JOIN ${n.file} f ON f.sequence = p.file_sequence
              LEFT JOIN ${n.rollup} r ON r.n = p.rolled
             WHERE p.rolled IS NOT NULL GROUP BY 1
             ${left}) b
     WHERE b.period_start >= ${keptFromSql(n, granularity)}
     GROUP BY b.period_start HAVING MAX(b.is_moving) = 0 AND SUM(b.amount) <> SUM(b.rolled)`
}

function keptFromSql(n: LedgerNames, granularity: Granularity): string {
  return `COALESCE((SELECT kept_from FROM ${n.period} WHERE granularity = '${granularity}'), '0001-01-01')`
}

/** What is not kept any more may still be there. */
function ofConsumers(n: LedgerNames, granularity: Granularity, rows: string): string {
  return `
    SELECT CONCAT('the ${granularity} of ', b.period_start, ' has ', SUM(b.all_amount),
                  ', and its consumers ', SUM(b.amount)) AS text
      FROM (SELECT period_start, amount AS all_amount, 0 AS amount FROM ${n.usage}
             WHERE granularity = '${granularity}'
             UNION ALL
            SELECT CAST(c.period_start AS DATETIME), 0, SUM(c.amount) FROM (${rows}) c GROUP BY c.period_start) b
     WHERE b.period_start >= ${keptFromSql(n, granularity)}
     GROUP BY b.period_start HAVING SUM(b.all_amount) <> SUM(b.amount)`
}
