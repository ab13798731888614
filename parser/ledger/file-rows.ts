import type { Batch, BatchFile } from './batch.ts'
import type { Session } from './connection.ts'
import { type LedgerNames, sqlTime } from './schema/tables.ts'

/** A content's row in the ledger. */
export interface LedgerFile {
  readonly sha256: Buffer
  readonly sequence: bigint
  readonly batchId: Buffer
  readonly instance: Buffer
  readonly workSequence: bigint
  readonly name: string
  readonly sizeBytes: bigint
  readonly lines: bigint
  readonly amount: string
  readonly largestSum: bigint
  readonly state: 'applying' | 'applied' | 'reverted'
  /** UTC, see `fromSqlTime`. */
  readonly claimedAt: string
  readonly digestedAt: string
  readonly recordedAt: string
}

export const FILE_COLUMNS = `sha256, sequence, batch_id AS batchId, instance, work_sequence AS workSequence, name,
  size_bytes AS sizeBytes, \`lines\`, amount, largest_sum AS largestSum, state,
  claimed_at AS claimedAt, digested_at AS digestedAt, recorded_at AS recordedAt`

/**
 * Writes the rows of a batch's files, claim and proof in one, in as few statements as the server's
 * packets allow.
 *
 * @throws MariaDB's error: 1062 when some content has a row already.
 */
export async function insertFiles(
  session: Session,
  batch: Batch,
  { names, instance }: { readonly names: LedgerNames; readonly instance: Uint8Array },
): Promise<void> {
  const rowsMax = session.rowsPerStatement(ROW_BYTES_MAX)
  for (let i = 0; i < batch.files.length; i += rowsMax) {
    const files = batch.files.slice(i, i + rowsMax)
    await session.execute(
      `INSERT INTO ${names.file}
         (sha256, batch_id, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines,
          amount, largest_sum, state, claimed_at, digested_at, recorded_at)
       VALUES ${files.map(() => ROW).join(', ')}`,
      files.flatMap(file => valuesOf(file, batch.id, instance)),
    )
  }
}

const ROW = "(?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 'applying', ?, ?, UTC_TIMESTAMP(3))"
/** At its longest: bytes and names may double when they are escaped. */
const ROW_BYTES_MAX = 1_024

function valuesOf(file: BatchFile, batchId: Buffer, instance: Uint8Array): unknown[] {
  return [
    Buffer.from(file.sha256),
    batchId,
    instance,
    file.workSequence,
    file.name,
    file.sizeBytes,
    file.lines,
    file.amount.toString(),
    file.largestSum,
    sqlTime(file.claimedAtMs),
    sqlTime(file.digestedAtMs),
  ]
}
