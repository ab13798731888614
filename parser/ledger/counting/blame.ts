/**
 * Who is to blame where a batch cannot be counted: found by looking at the totals, the blocks and the
 * server's answers, with nothing changed.
 */

import { hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { type Reason, reasonText } from '../../facts.ts'
import type { Session } from '../connection.ts'
import type { LongCountOptions } from './count-whole.ts'
import { findOverflow, type Overflow, tightenBound } from './overflow.ts'
import { findRefusedConsumer } from './refused-row.ts'
import { type Guilty, takeOffTheList } from './retreat.ts'
import { blockSums, type Member, type StagedBatch } from './signed-chunks.ts'

/** The first file that would make a total too large; undefined: all fit. */
export async function overflowAmong(
  session: Session,
  files: Parameters<typeof findOverflow>[1],
  largestSum: bigint,
  options: LongCountOptions,
): Promise<Overflow | undefined> {
  const fits = await tightenBound(session, largestSum, options)
  const idsAlwaysFit = options.range.idMax >= U64_MAX
  return fits && idsAlwaysFit ? undefined : findOverflow(session, files, options)
}

/** The first file that would make a total too large is refused before anything has begun. */
export async function takeOffGuilty(
  session: Session,
  { files }: StagedBatch,
  options: LongCountOptions,
): Promise<Guilty[]> {
  const overflow = await unlessUnreadable(overflowOf(session, files, options))
  const guilty = overflow ?? (await unreadableOf(session, files, options))
  for (const one of guilty) await takeOffTheList(session, one, options)
  return guilty
}

/** Which of the files of a batch that counts, and was taken back, cannot be counted. */
export async function blame(
  session: Session,
  { files }: StagedBatch,
  options: LongCountOptions,
): Promise<Guilty[]> {
  const unreadable = await unreadableOf(session, files, options)
  if (unreadable.length > 0) return unreadable
  const overflow = await overflowOf(session, files, options)
  if (overflow.length > 0) return overflow
  const guilty: Guilty[] = []
  for (const file of files) {
    const sums = blockSums(session, options.names, file)
    const found = await findRefusedConsumer(session, sums, options)
    if (found === undefined) continue
    guilty.push({ sequence: file.sequence, reason: reasonText(refusal(found)) })
  }
  return guilty
}

/** In the server's words. @param found without a consumer: it is not known which row it is. */
export function refusal(found: { readonly consumer?: bigint; readonly reason: string }): Reason {
  const { consumer, reason } = found
  const which = consumer === undefined ? 'a row of it' : `the row of consumer ${consumer}`
  return { code: 'TOTAL_REFUSED', text: `MariaDB refuses ${which}: ${reason}` }
}

async function overflowOf(
  session: Session,
  files: readonly Member[],
  options: LongCountOptions,
): Promise<Guilty[]> {
  if (files.length === 0) return []
  const members = files.map(file => ({
    largestSum: file.largestSum,
    sums: blockSums(session, options.names, file),
  }))
  const largest = files.reduce((sum, file) => sum + file.largestSum, 0n)
  const overflow = await overflowAmong(session, members, largest, options)
  if (overflow === undefined) return []
  const { sequence } = files[overflow.fileIndex]!
  return [{ sequence, reason: reasonText(overflow.reason) }]
}

/** Those some block of which is not what was recorded. */
export async function unreadableOf(
  session: Session,
  files: readonly Member[],
  { names, between }: LongCountOptions,
): Promise<Guilty[]> {
  const guilty: Guilty[] = []
  for (const file of files) {
    const isWhole = await blockSums(session, names, file).isWhole(between)
    if (!isWhole) guilty.push({ sequence: file.sequence, reason: undefined })
  }
  return guilty
}

/** undefined: some block is not what was recorded. */
export async function unlessUnreadable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (hasCode(error, 'BLOCK_UNREADABLE')) return undefined
    throw error
  }
}
