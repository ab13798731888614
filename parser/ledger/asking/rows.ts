import { isKeptAs } from '../../facts.ts'
import type { Session } from '../connection.ts'
import { fileColumns, type LedgerFile } from '../file-rows.ts'
import type { BatchKind, LedgerNames } from '../schema/tables.ts'

/** The questions that a start, a decision and a taking up ask of the ledger's rows. */

/** A batch that is not finished. */
export interface OpenBatch {
  readonly id: Buffer
  readonly instance: Buffer
  readonly kind: BatchKind
  readonly state: 'unrecorded' | 'applying' | 'retreating' | 'blocked'
  readonly cursorId: bigint | null
  readonly pairsPlanned: bigint
  readonly amountPlanned: string
}

/** The rows of contents, as committed, by their hash in hex. */
export async function rowsOfContents(
  session: Session,
  names: LedgerNames,
  contents: readonly Uint8Array[],
): Promise<ReadonlyMap<string, LedgerFile>> {
  const found = new Map<string, LedgerFile>()
  const atOnce = Math.min(CONTENTS_PER_QUERY_MAX, session.rowsPerStatement(HASH_BYTES_MAX))
  for (let i = 0; i < contents.length; i += atOnce) {
    const some = contents.slice(i, i + atOnce).map(sha256 => Buffer.from(sha256))
    const rows = await session.query<LedgerFile>(
      `SELECT ${fileColumns(names)} FROM ${names.file}
        WHERE sha256 IN (${some.map(() => '?').join(', ')})`,
      some,
    )
    for (const row of rows) found.set(row.sha256.toString('hex'), row)
  }
  return found
}

/** Counted files of a parser that were claimed under this sequence or a later one, in this order. */
export function ownFrom(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  which: {
    readonly workSequence: number
    readonly limit: number
    readonly first: 'oldest' | 'newest'
  },
): Promise<LedgerFile[]> {
  return session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file}
      WHERE instance = ? AND work_sequence >= ? AND state = 'applied'
      ORDER BY work_sequence ${which.first === 'oldest' ? 'ASC' : 'DESC'} LIMIT ?`,
    [instance, which.workSequence, which.limit],
  )
}

/** The highest sequence under which a parser ever had a file that the ledger knows of; 0: none. */
export async function lastOwnSequence(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
): Promise<number> {
  const [row] = await session.query<{ last: bigint | null }>(
    `SELECT GREATEST(
       COALESCE((SELECT MAX(work_sequence) FROM ${names.file} WHERE instance = ?), 0),
       COALESCE((SELECT MAX(work_sequence) FROM ${names.sighting} WHERE instance = ?), 0)
     ) AS last`,
    [instance, instance],
  )
  return Number(row?.last ?? 0n)
}

/** The row of a work file of a parser's state directory. */
export async function rowOfWorkFile(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  { name, workSequence }: { readonly name: string; readonly workSequence: number },
): Promise<LedgerFile | undefined> {
  const rows = await session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file} WHERE instance = ? AND work_sequence = ?`,
    [instance, workSequence],
  )
  return rows.find(row => isKeptAs(name, row))
}

/** Applied rows after a sequence of the ledger, ascending. */
export function appliedAfter(
  session: Session,
  names: LedgerNames,
  sequence: bigint,
  limit: number,
): Promise<LedgerFile[]> {
  return session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file}
      WHERE sequence > ? AND state = 'applied' AND sign = 1 ORDER BY sequence LIMIT ?`,
    [sequence, limit],
  )
}

/** Files of a parser that are to be put where their rows say, once nothing moves those. */
export function toBeMoved(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  { limit, behind }: { readonly limit: number; readonly behind: bigint },
): Promise<LedgerFile[]> {
  return session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file}
      WHERE instance = ? AND sequence > ? AND state IN ('applied', 'reverted', 'refused')
        AND sequence IN (SELECT file_sequence FROM ${names.todo} WHERE kind = 'move')
      ORDER BY sequence LIMIT ?`,
    [instance, behind, limit],
  )
}

/** Files that a person decides about, of whichever parser; the longest held first. */
export async function heldFiles(
  session: Session,
  { file, todo }: LedgerNames,
  limit: number,
): Promise<{ readonly files: number; readonly first: readonly HeldFile[] }> {
  const first = await session.query<HeldFile>(
    `SELECT f.name, f.sha256, f.recorded_at AS heldAt
       FROM ${todo} t JOIN ${file} f ON f.sequence = t.file_sequence
      WHERE t.kind = 'decide' ORDER BY f.recorded_at, f.sequence LIMIT ?`,
    [limit],
  )
  if (first.length < limit) return { files: first.length, first }
  const [row] = await session.query<{ files: bigint }>(
    `SELECT COUNT(*) AS files FROM ${todo} WHERE kind = 'decide'`,
  )
  return { files: Number(row!.files), first }
}

export interface HeldFile {
  readonly name: string
  readonly sha256: Buffer
  /** UTC, see `fromSqlTime`. */
  readonly heldAt: string
}

/** Takes it off the list of those, unless its row has moved on. */
export async function forgetMove(
  session: Session,
  { todo, file }: LedgerNames,
  { sequence, state, postings }: LedgerFile,
): Promise<void> {
  await session.execute(
    `DELETE FROM ${todo} WHERE kind = 'move' AND file_sequence = ?
        AND EXISTS (SELECT 1 FROM ${file} WHERE sequence = ? AND state = ? AND postings = ?)`,
    [sequence, sequence, state, postings],
  )
}

/** Batches that have begun and not ended, of whichever parser, oldest first. */
export function openBatches(session: Session, names: LedgerNames): Promise<OpenBatch[]> {
  return session.query<OpenBatch>(
    `SELECT id, instance, kind, state, cursor_id AS cursorId, pairs_planned AS pairsPlanned,
            amount_planned AS amountPlanned
       FROM ${names.batch} WHERE state <> 'applied' ORDER BY begun_at, id`,
  )
}

/** The rows of a batch's files, in the order in which they were written. */
export function filesOfBatch(
  session: Session,
  names: LedgerNames,
  batchId: Uint8Array,
): Promise<LedgerFile[]> {
  return session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file}
      WHERE sequence IN (SELECT file_sequence FROM ${names.posting} WHERE batch_id = ?)
      ORDER BY sequence`,
    [Buffer.from(batchId)],
  )
}

const CONTENTS_PER_QUERY_MAX = 1_000
/** Each of its bytes may be escaped. */
const HASH_BYTES_MAX = 80
