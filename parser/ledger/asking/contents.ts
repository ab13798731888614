import type {
  ContentAnswer,
  ContentMatch,
  ProcessedFile,
  Sighted,
} from '../../../shared/protocol.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile, rejectedOf } from '../file-rows.ts'
import { fromSqlTime, type LedgerNames } from '../schema/tables.ts'
import { ofPrefix, sightingsOf } from './trails.ts'

/** What the ledger has of contents: of each its row, or why it has none. */
export type KnownContent =
  | { readonly row: LedgerFile }
  | { readonly sha256: string; readonly sighted: Sighted }

/** Contents whose hash begins with these hex digits; two of each at the most. The hash is a key. */
export async function contentsWithPrefix(
  session: Session,
  names: LedgerNames,
  prefix: string,
): Promise<KnownContent[]> {
  const { where, values } = ofPrefix(prefix)
  const rows = await session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file} WHERE ${where} ORDER BY sha256 LIMIT 2`,
    values,
  )
  const known = new Map<string, KnownContent>()
  for (const row of rows) known.set(row.sha256.toString('hex'), { row })
  for (const sighted of await sightingsOf(session, names, where, values, SIGHTINGS_MAX)) {
    const { sha256 } = sighted
    if (sha256 !== undefined && !known.has(sha256)) known.set(sha256, { sha256, sighted })
  }
  return [...known.values()]
}

/** The newest: that a beginning fits more is told by its files. */
const SIGHTINGS_MAX = 20

/** What the journal knows of a content, and what the ledger says, which decides. */
export function withLedgerRows(
  fromJournal: ContentAnswer,
  contents: readonly KnownContent[],
): ContentAnswer {
  const found = new Map<string, ContentMatch>(
    fromJournal.matches.map(match => [match.sha256, { ...match, ledger: 'absent' as const }]),
  )
  for (const content of contents) {
    if ('sighted' in content) {
      const { sha256, sighted } = content
      found.set(sha256, { ...(found.get(sha256) ?? { sha256, ledger: 'absent' }), sighted })
      continue
    }
    const { row } = content
    const sha256 = row.sha256.toString('hex')
    const known = found.get(sha256)
    const { applied, ...others } = known ?? { sha256 }
    found.set(sha256, {
      ...others,
      ledger: row.state,
      ...(row.state === 'applied' || row.state === 'reverting'
        ? { applied: applied ?? processedFile(row) }
        : {}),
      ...(row.state === 'refused' ? { last: known?.last ?? refusedFile(row) } : {}),
      ...(row.state === 'reverted' || row.state === 'held'
        ? { last: fileAs(row.state, row, applied ?? known?.last) }
        : {}),
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

/** The history may be a moment behind. */
function fileAs(
  outcome: 'reverted' | 'held',
  row: LedgerFile,
  known: ProcessedFile | undefined,
): ProcessedFile {
  const { reason: _before, ...file } = known ?? processedFile(row)
  const settledAtMs = fromSqlTime(row.revertedAt ?? row.digestedAt)
  return { ...file, outcome, settledAtMs, ...(row.reason && { reason: row.reason }) }
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
    ...(row.usedAt === row.claimedAt ? {} : { usedAtMs: fromSqlTime(row.usedAt) }),
    claimedAtMs: fromSqlTime(row.claimedAt),
    // The ledger does not keep when the reading began.
    digestStartedAtMs: fromSqlTime(row.claimedAt),
    digestedAtMs: fromSqlTime(row.digestedAt),
    settledAtMs: fromSqlTime(row.countedAt ?? row.digestedAt),
  }
}
