/**
 * Writes the sums of contents down in the ledger, so that whoever counts needs nothing else: no file,
 * no run, not the host that has read them.
 *
 * - **claimed** (S1): the content's row is there, `staging`. A crash leaves it, and the content to
 *   whoever has it: by raising `attempt` the row is taken over, its blocks are deleted in the same
 *   transaction, and it is recorded anew.
 * - **a portion** (S2): each transaction of blocks begins by moving `recorded_to` from where this
 *   attempt has left it. One whose attempt is over changes no row, and adds no block: so a slow owner,
 *   a second one and a program that cuts blocks elsewhere never mix theirs.
 * - **staged** (S3): behind the last portion, if pairs and amount recorded are those of the content; the
 *   row goes on the list of what waits to be counted.
 *
 * Small contents are all of this in a single transaction, many of them together: claimed as `staged`,
 * with their blocks, whose sums are known before.
 */

import assert from 'node:assert/strict'
import { crashPoint } from '../../../shared/crash-points.ts'
import { CountersinkError } from '../../../shared/errors.ts'
import { boundedReason } from '../../../shared/protocol.ts'
import { hexOf } from '../../facts.ts'
import type { KernelExports } from '../../kernel/index.ts'
import type { PackedBlock } from '../../sums/index.ts'
import type { BatchFile } from '../batch.ts'
import type { Session } from '../connection.ts'
import {
  askForWhatIsNext,
  contentOf,
  fileColumns,
  fileWay,
  insertFiles,
  type LedgerFile,
  originOf,
  publishedTime,
  usedTime,
} from '../file-rows.ts'
import { type LedgerNames, sqlTime } from '../schema/tables.ts'
import { SQL_DUPLICATE_KEY, sqlNumber } from '../sql-errors.ts'
import { transaction } from '../transaction.ts'
import { insertBlocks, packSums } from './blocks.ts'

export interface RecordOptions {
  readonly names: LedgerNames
  readonly instance: Uint8Array
  readonly kernel: KernelExports
  /** Pairs in one transaction. */
  readonly chunkPairsMax: number
  /** Awaited between two transactions of a large content; throws when it is to end there. */
  readonly between: () => Promise<void>
}

export type Recorded =
  /** Its sums are in the ledger, by this call or before it. */
  | { readonly kind: 'staged' }
  /** Somebody has the content, or somebody has taken over its recording. */
  | { readonly kind: 'claimed' }

/**
 * Records small contents together, in one transaction. Those of them that are known already are to be
 * recorded, or decided, one by one.
 *
 * @returns false: some content has a row; nothing was written.
 */
export async function recordTogether(
  session: Session,
  files: readonly BatchFile[],
  options: RecordOptions,
): Promise<boolean> {
  const packed = await packWhole(files, options)
  const recorded = await transaction<boolean>(session, async undo => {
    try {
      await insertWhole(session, packed, options)
    } catch (error) {
      if (sqlNumber(error) === SQL_DUPLICATE_KEY) return undo(false)
      throw error
    }
    crashPoint('S3-before-commit')
    return true
  })
  if (recorded) crashPoint('S3-staged')
  return recorded
}

/** A content with all of its blocks. */
interface WholeContent {
  readonly file: BatchFile & { readonly recordedTo: bigint | null }
  readonly blocks: readonly PackedBlock[]
}

/** @throws CountersinkError CURSOR_MOVED: the blocks of one are not what was read. */
async function packWhole(
  files: readonly BatchFile[],
  { kernel, chunkPairsMax }: RecordOptions,
): Promise<WholeContent[]> {
  const contents: WholeContent[] = []
  for (const file of files) {
    const blocks: PackedBlock[] = []
    let { amount } = file
    let { pairs } = file.sums
    for await (const portion of packSums(kernel, file.sha256, file.sums, chunkPairsMax)) {
      for (const block of portion) {
        amount -= block.amount
        pairs -= block.pairs
        blocks.push(block)
      }
    }
    if (amount !== 0n || pairs !== 0) throw unlikePlanned(file.name)
    contents.push({ file: { ...file, recordedTo: blocks.at(-1)?.lastId ?? null }, blocks })
  }
  return contents
}

async function insertWhole(
  session: Session,
  contents: readonly WholeContent[],
  options: RecordOptions,
): Promise<void> {
  const { names } = options
  const files = contents.map(({ file }) => file)
  const sequences = await insertFiles(session, files, { ...options, claim: 'recordWhole' })
  const fileBlocks = contents.flatMap(({ file, blocks }) => {
    const fileSequence = sequences.get(hexOf(file.sha256))
    assert(fileSequence !== undefined, 'a row that was just written has no sequence')
    return blocks.map(block => ({ fileSequence, block }))
  })
  await insertBlocks(session, names, fileBlocks)
  await session.executeEach(
    `INSERT INTO ${names.todo} (kind, file_sequence) VALUES ('count', ?)`,
    [...sequences.values()].map(sequence => [sequence]),
  )
}

/**
 * Records one content, however large, in as many transactions as it takes. Safe to repeat after a
 * lost connection or a crash: it finds its own row and begins anew.
 *
 * @param mayTakeOver whether a row that somebody else has left `staging` may be taken over.
 * @throws the signal's reason between two portions; the row stays `staging`, and is taken over later.
 */
export async function recordOne(
  session: Session,
  file: BatchFile,
  mayTakeOver: (row: LedgerFile) => boolean,
  options: RecordOptions,
): Promise<Recorded> {
  const { names } = options
  const claim = await claimOf(session, file, mayTakeOver, options)
  if (claim === 'claimed' || claim === 'staged') return { kind: claim }
  let { recordedTo } = claim
  for await (const blocks of packSums(
    options.kernel,
    file.sha256,
    file.sums,
    options.chunkPairsMax,
  )) {
    await options.between()
    const from = { ...claim, recordedTo }
    const isOurs = await transaction(
      session,
      async undo => (await writePortion(session, names, from, blocks)) || undo(false),
    )
    if (!isOurs) return { kind: 'claimed' }
    crashPoint('S2-portion-recorded')
    recordedTo = blocks.at(-1)!.lastId
  }
  const isStaged = await transaction(session, async undo => {
    if (!(await stage(session, names, claim, file))) return undo(false)
    crashPoint('S3-before-commit')
    return true
  })
  if (!isStaged) return { kind: 'claimed' }
  crashPoint('S3-staged')
  return { kind: 'staged' }
}

/** The attempt under which a content is recorded. */
export interface Attempt {
  readonly sequence: bigint
  readonly attempt: number
  readonly recordedTo: bigint | null
}

async function claimOf(
  session: Session,
  file: BatchFile,
  mayTakeOver: (row: LedgerFile) => boolean,
  options: RecordOptions,
): Promise<Attempt | 'claimed' | 'staged'> {
  const { names, instance } = options
  try {
    const sequences = await insertFiles(session, [file], { ...options, claim: 'claim' })
    crashPoint('S1-claimed')
    return { sequence: [...sequences.values()][0]!, attempt: 0, recordedTo: null }
  } catch (error) {
    if (sqlNumber(error) !== SQL_DUPLICATE_KEY) throw error
  }
  const [row] = await session.query<LedgerFile>(
    `SELECT ${fileColumns(names)} FROM ${names.file} WHERE sha256 = ?`,
    [Buffer.from(file.sha256)],
  )
  assert(row !== undefined, 'a row that is in the way is not there')
  const isOurs = row.instance.equals(instance) && row.workSequence === BigInt(file.workSequence)
  if (row.state !== 'staging') return isOurs && row.state === 'staged' ? 'staged' : 'claimed'
  if (!isOurs && !mayTakeOver(row)) return 'claimed'
  return (await takeOver(session, file, row, options)) ?? 'claimed'
}

/** Begins anew what an attempt has left; undefined: it is not where it was. */
async function takeOver(
  session: Session,
  file: BatchFile,
  { sequence, attempt }: LedgerFile,
  { names, instance }: RecordOptions,
): Promise<Attempt | undefined> {
  const { to, from } = fileWay('takeOver')
  return transaction<Attempt | undefined>(session, async undo => {
    const changed = await session.execute(
      `UPDATE ${names.file}
        SET state = '${to}', attempt = attempt + 1, origin = ?, instance = ?, work_sequence = ?, name = ?,
            supersedes = ?, parent = ?, used_at = IF(postings = 0, ?, used_at), published_at = ?, claimed_at = ?, digested_at = ?, recorded_to = NULL, pairs_recorded = 0, amount_recorded = 0, pairs = ?
      WHERE sequence = ? AND attempt = ? AND ${from}`,
      [
        ...[originOf(instance, file), instance, file.workSequence, file.name],
        ...[contentOf(file.terms?.supersedes), contentOf(file.terms?.parent)],
        usedTime(file),
        ...[publishedTime(file), sqlTime(file.claimedAtMs), sqlTime(file.digestedAtMs)],
        ...[file.sums.pairs, sequence, attempt],
      ],
    )
    if (changed !== 1) return undo(undefined)
    await session.execute(`DELETE FROM ${names.sums} WHERE file_sequence = ?`, [sequence])
    return { sequence, attempt: attempt + 1, recordedTo: null }
  })
}

/**
 * @param where the row must be for that.
 * @returns false: this attempt is over, and nothing was written.
 */
export async function writePortion(
  session: Session,
  names: LedgerNames,
  { sequence, attempt, recordedTo }: Attempt,
  blocks: readonly PackedBlock[],
  where: string = fileWay('takeOver').from,
): Promise<boolean> {
  const last = blocks.at(-1)
  if (last === undefined) return true
  const pairs = blocks.reduce((sum, block) => sum + block.pairs, 0)
  const amount = blocks.reduce((sum, block) => sum + block.amount, 0n)
  const changed = await session.execute(
    `UPDATE ${names.file}
        SET recorded_to = ?, pairs_recorded = pairs_recorded + ?,
            amount_recorded = amount_recorded + CAST(? AS DECIMAL(38,0))
      WHERE sequence = ? AND attempt = ? AND recorded_to <=> ? AND ${where}`,
    [last.lastId, pairs, amount.toString(), sequence, attempt, recordedTo],
  )
  if (changed !== 1) return false
  await insertBlocks(
    session,
    names,
    blocks.map(block => ({ fileSequence: sequence, block })),
  )
  return true
}

/**
 * What waits to be counted goes on the list of that; what replaces another content waits for the order to
 * do so, which is made here, and what is held for a person's.
 *
 * @returns false: this attempt is over.
 * @throws CountersinkError CURSOR_MOVED: not all is recorded.
 */
async function stage(
  session: Session,
  names: LedgerNames,
  { sequence, attempt }: Pick<Attempt, 'sequence' | 'attempt'>,
  { terms, heldBecause }: BatchFile,
): Promise<boolean> {
  const { to, from } = fileWay(heldBecause === undefined ? 'stage' : 'hold')
  const isOurs = `sequence = ? AND attempt = ? AND ${from}`
  const changed = await session.execute(
    `UPDATE ${names.file} SET state = '${to}', reason = ?, recorded_at = UTC_TIMESTAMP(3)
      WHERE ${isOurs} AND pairs_recorded = pairs AND amount_recorded = amount`,
    [heldBecause === undefined ? null : boundedReason(heldBecause), sequence, attempt],
  )
  if (changed !== 1) {
    const ours = await session.query(`SELECT 1 FROM ${names.file} WHERE ${isOurs}`, [
      sequence,
      attempt,
    ])
    if (ours.length > 0) throw unlikePlanned(sequence)
    return false
  }
  await askForWhatIsNext(session, names, sequence, { terms, heldBecause })
  return true
}

function unlikePlanned(file: bigint | string): CountersinkError {
  return new CountersinkError(
    'CURSOR_MOVED',
    `the sums recorded of file ${file} are not those that were planned`,
    { advice: 'Nothing of it is counted. This is not expected: please report it.' },
  )
}
