import type { ContentAnswer, ContentMatch, ProcessedFile } from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile, rejectedOf } from '../file-rows.ts'
import { fromSqlTime, type LedgerNames } from '../schema/tables.ts'

/** Contents whose hash begins with these hex digits; two at the most. The hash is a key. */
export function contentsWithPrefix(
  session: Session,
  names: LedgerNames,
  prefix: string,
): Promise<LedgerFile[]> {
  return session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file} WHERE sha256 BETWEEN ? AND ? ORDER BY sha256 LIMIT 2`,
    [Buffer.from(prefix.padEnd(64, '0'), 'hex'), Buffer.from(prefix.padEnd(64, 'f'), 'hex')],
  )
}

/** What the journal knows of a content, and what the ledger says, which decides. */
export function withLedgerRows(
  fromJournal: ContentAnswer,
  rows: readonly LedgerFile[],
): ContentAnswer {
  const found = new Map<string, ContentMatch>(
    fromJournal.matches.map(match => [match.sha256, { ...match, ledger: 'absent' as const }]),
  )
  for (const row of rows) {
    const sha256 = row.sha256.toString('hex')
    const known = found.get(sha256)
    found.set(sha256, {
      ...(known ?? { sha256 }),
      ledger: row.state,
      ...(row.state === 'applied' ? { applied: known?.applied ?? processedFile(row) } : {}),
      ...(row.state === 'refused' ? { last: known?.last ?? refusedFile(row) } : {}),
    })
  }
  return { matches: [...found.values()].slice(0, 2) }
}

/** One that was read by another parser, and that whoever counts could not count. */
function refusedFile(row: LedgerFile): ProcessedFile {
  return {
    ...processedFile(row),
    outcome: 'quarantined',
    ...(row.reason && { reason: row.reason }),
  }
}

/** A counted file as the journal would have it, without a number of its own. */
export function processedFile(row: LedgerFile): ProcessedFile {
  return {
    number: 0,
    name: row.name,
    sha256: row.sha256.toString('hex'),
    sizeBytes: Number(row.sizeBytes),
    lines: Number(row.lines),
    ...rejectedOf(row),
    amount: row.amount,
    outcome: 'applied',
    ledgerSequence: row.sequence.toString(),
    claimedAtMs: fromSqlTime(row.claimedAt),
    // The ledger does not keep when the reading began.
    digestStartedAtMs: fromSqlTime(row.claimedAt),
    digestedAtMs: fromSqlTime(row.digestedAt),
    settledAtMs: fromSqlTime(row.countedAt ?? row.digestedAt),
  }
}
