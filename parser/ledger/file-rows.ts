import { createHash } from 'node:crypto'
import { TIME_MS_MAX } from '../../shared/limits.ts'
import { boundedReason } from '../../shared/protocol.ts'
import type { Terms } from '../../shared/terms.ts'
import type { BatchFile } from './batch.ts'
import type { Session } from './connection.ts'
import { askToSupersede } from './counting/order-row.ts'
import { FILE_STATES, type FileEvent, type FileState } from './file-states.ts'
import { type LedgerNames, sqlTime } from './schema/tables.ts'
import { wayOf } from './state-sql.ts'
import { transaction } from './transaction.ts'

/** A content's row in the ledger. */
export interface LedgerFile {
  readonly sequence: bigint
  readonly sha256: Buffer
  /** The publication that this content came with. */
  readonly origin: Buffer
  readonly instance: Buffer
  readonly workSequence: bigint
  readonly name: string
  readonly sizeBytes: bigint
  readonly lines: bigint
  readonly rejectedLines: bigint
  /** 1: counting it adds; -1: it takes away. */
  readonly sign: number
  /** null: it was counted before sums were kept. */
  readonly pairs: bigint | null
  readonly amount: string
  readonly largestSum: bigint
  readonly state: Exclude<FileState, 'absent'>
  /** How often it was counted and taken back. */
  readonly postings: number
  /** The content that it is counted in place of. */
  readonly supersedes: Buffer | null
  /** The content that could not be counted, and that this one mends. */
  readonly parent: Buffer | null
  /** Why it is refused or held, or was taken back. */
  readonly reason: string | null
  readonly attempt: number
  readonly recordedTo: bigint | null
  /** The batch that moved, or moves, its sums; null: none has. */
  readonly batchId: Buffer | null
  /** UTC, see `fromSqlTime`. */
  readonly usedAt: string
  readonly publishedAt: string | null
  readonly claimedAt: string
  readonly digestedAt: string
  readonly recordedAt: string | null
  readonly countedAt: string | null
  readonly revertedAt: string | null
}

export const fileColumns = (n: LedgerNames): string => `sequence, sha256, origin, instance,
  work_sequence AS workSequence, name, size_bytes AS sizeBytes, \`lines\`, rejected_lines AS rejectedLines,
  sign, pairs, amount,
  largest_sum AS largestSum, state, postings, supersedes, parent, reason, attempt, recorded_to AS recordedTo,
  (SELECT batch_id FROM ${n.posting} p WHERE p.file_sequence = sequence AND p.n = postings) AS batchId,
  used_at AS usedAt, published_at AS publishedAt, claimed_at AS claimedAt, digested_at AS digestedAt, recorded_at AS recordedAt, counted_at AS countedAt,
  reverted_at AS revertedAt`

/**
 * Whether this posting of a file takes its sums from the totals: odd ones count, even ones take back, and
 * of what empties the totals it is the other way round.
 */
export function isBack(posting: { readonly n: bigint | number; readonly sign: number }): boolean {
  return (Number(posting.n) % 2 === 0) === (Number(posting.sign) === 1)
}

/** As it is told; nothing where there are none. */
export function rejectedOf({ rejectedLines }: Pick<LedgerFile, 'rejectedLines'>) {
  return BigInt(rejectedLines) === 0n ? {} : { rejectedLines: Number(rejectedLines) }
}

/** A file of this parser, as far as it says which publication it is. */
export interface Published {
  readonly origin?: Uint8Array | undefined
  readonly publishedAtMs?: number | undefined
  readonly workSequence: number
}

/** One that has no id of its own is known by the work file that it became. */
export function originOf(instance: Uint8Array, { origin, workSequence }: Published): Buffer {
  if (origin !== undefined) return Buffer.from(origin)
  const sequence = Buffer.alloc(8)
  sequence.writeBigUInt64LE(BigInt(workSequence))
  return createHash('sha256').update(instance).update(sequence).digest().subarray(0, 16)
}

/** The same in SQL, of a row of the table. */
export const originSql =
  "UNHEX(LEFT(SHA2(CONCAT(instance, REVERSE(UNHEX(LPAD(HEX(work_sequence), 16, '0')))), 256), 32))"

/** For its row. A journal may have one that no row can take, nor any that is written with it. */
export function publishedTime({ publishedAtMs }: Published): string | null {
  return publishedAtMs === undefined || publishedAtMs > TIME_MS_MAX ? null : sqlTime(publishedAtMs)
}

/** What is told without a time was used when it came. */
export function usedTime(file: {
  readonly terms?: Terms | undefined
  readonly claimedAtMs: number
}): string {
  return sqlTime(file.terms?.usedAtMs ?? file.claimedAtMs)
}

export function fileWay(event: FileEvent): { readonly to: FileState; readonly from: string } {
  return wayOf<FileState, FileEvent>(FILE_STATES, event)
}

/** What a new row says besides the content's facts. */
type Claim = 'claim' | 'recordWhole' | 'countWhole'

/** Of one that is recorded whole, its last consumer. */
type ClaimedFile = BatchFile & { readonly recordedTo?: bigint | null }

/**
 * Writes the rows of contents in the order of their hashes, so that two who claim the same ones wait
 * for each other and never in a circle; in as few statements as the server's packets allow.
 *
 * @param claim `recordWhole`: they are recorded in the same transaction; `countWhole`: and counted.
 * @returns the rows' sequences, by hash in hex: read back, as a server may give any.
 * @throws MariaDB's error: 1062 when some content has a row already.
 */
export async function insertFiles(
  session: Session,
  files: readonly ClaimedFile[],
  options: { readonly names: LedgerNames; readonly instance: Uint8Array; readonly claim: Claim },
): Promise<ReadonlyMap<string, bigint>> {
  const { names, instance, claim } = options
  const sorted = [...files].sort((a, b) => Buffer.compare(a.sha256, b.sha256))
  const sequences = new Map<string, bigint>()
  const rowsMax = session.rowsPerStatement(ROW_BYTES_MAX)
  for (let i = 0; i < sorted.length; i += rowsMax) {
    const some = sorted.slice(i, i + rowsMax)
    await session.execute(
      `INSERT INTO ${names.file}
         (sha256, origin, instance, work_sequence, name, size_bytes, \`lines\`, rejected_lines, sign,
          supersedes, parent, pairs, amount, largest_sum, state, attempt, recorded_to, pairs_recorded,
          amount_recorded, postings, used_at,
          published_at, claimed_at, digested_at, recorded_at, counted_at)
       VALUES ${some.map(() => ROW[claim]).join(', ')}`,
      some.flatMap(file => valuesOf(file, instance, claim)),
    )
    const rows = await session.query<{ sha256: Buffer; sequence: bigint }>(
      `SELECT sha256, sequence FROM ${names.file}
        WHERE sha256 IN (${some.map(() => '?').join(', ')})`,
      some.map(({ sha256 }) => Buffer.from(sha256)),
    )
    for (const row of rows) sequences.set(row.sha256.toString('hex'), row.sequence)
  }
  return sequences
}

/** A file whose content is to be counted after all. */
export interface Offer extends Published {
  readonly name: string
  readonly terms?: Terms | undefined
  readonly heldBecause?: string | undefined
  readonly claimedAtMs: number
  readonly digestedAtMs: number
}

/**
 * A refused content waits to be counted again, as this work file, or for a person. Does nothing unless it
 * is refused.
 */
export async function offerAgain(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  offer: Offer & { readonly row: LedgerFile },
): Promise<void> {
  const { terms, heldBecause } = offer
  const { to, from } = fileWay(heldBecause === undefined ? 'offerAgain' : 'holdAgain')
  const { sequence } = offer.row
  await transaction(session, async () => {
    const changed = await session.execute(
      `UPDATE ${names.file}
          SET state = '${to}', reason = ?, origin = ?, instance = ?, work_sequence = ?, name = ?,
              supersedes = ?, parent = ?,
              used_at = IF(postings = 0, ?, used_at), published_at = ?, claimed_at = ?, digested_at = ?
        WHERE sequence = ? AND ${from}`,
      [
        heldBecause === undefined ? null : boundedReason(heldBecause),
        ...[originOf(instance, offer), instance, offer.workSequence, offer.name],
        ...[contentOf(terms?.supersedes), contentOf(terms?.parent)],
        usedTime(offer),
        ...[publishedTime(offer), sqlTime(offer.claimedAtMs), sqlTime(offer.digestedAtMs)],
        sequence,
      ],
    )
    if (changed === 1) await askForWhatIsNext(session, names, sequence, offer)
  })
}

/**
 * Inside the transaction that stages or holds a content: it goes on the list of what is to be counted, or
 * to be decided by a person; what replaces another content waits for the order to do so.
 */
export async function askForWhatIsNext(
  session: Session,
  names: LedgerNames,
  sequence: bigint,
  { terms, heldBecause }: Pick<Offer, 'terms' | 'heldBecause'>,
): Promise<void> {
  if (heldBecause === undefined && terms?.supersedes !== undefined) {
    return askToSupersede(session, names, sequence, terms)
  }
  const kind = heldBecause === undefined ? 'count' : 'decide'
  await session.execute(`INSERT INTO ${names.todo} (kind, file_sequence) VALUES ('${kind}', ?)`, [
    sequence,
  ])
}

/** A hash in hex, for its row. */
export function contentOf(sha256: string | undefined): Buffer | null {
  return sha256 === undefined ? null : Buffer.from(sha256, 'hex')
}

const row = (claim: Claim, times: string): string =>
  `(?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, '${fileWay(claim).to}', 0, ?, ?, ?, ?, ?, ?, ?, ?, ${times})`
const ROW: Readonly<Record<Claim, string>> = {
  claim: row('claim', 'NULL, NULL'),
  recordWhole: row('recordWhole', 'UTC_TIMESTAMP(3), NULL'),
  countWhole: row('countWhole', 'UTC_TIMESTAMP(3), UTC_TIMESTAMP(3)'),
}
/** At its longest: bytes and names may double when they are escaped. */
const ROW_BYTES_MAX = 1_024

function valuesOf(file: ClaimedFile, instance: Uint8Array, claim: Claim): unknown[] {
  const isWhole = claim !== 'claim'
  return [
    Buffer.from(file.sha256),
    originOf(instance, file),
    instance,
    file.workSequence,
    file.name,
    file.sizeBytes,
    file.lines,
    file.rejectedLines ?? 0,
    contentOf(file.terms?.supersedes),
    contentOf(file.terms?.parent),
    file.sums.pairs,
    file.amount.toString(),
    file.largestSum,
    file.recordedTo ?? null,
    isWhole ? file.sums.pairs : 0,
    isWhole ? file.amount.toString() : '0',
    claim === 'countWhole' ? 1 : 0,
    usedTime(file),
    publishedTime(file),
    sqlTime(file.claimedAtMs),
    sqlTime(file.digestedAtMs),
  ]
}
