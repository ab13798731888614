/**
 * What stands in the way of an order, by what it would move: the difference of its files where there are
 * two, never the whole of either. It is asked before its batch begins, and again when that was taken back.
 * Changes nothing.
 */

import { describeError, hasCode } from '../../../shared/errors.ts'
import { reasonText } from '../../facts.ts'
import type { Session } from '../connection.ts'
import type { LedgerFile } from '../file-rows.ts'
import { refusal, unreadableOf } from './blame.ts'
import type { LongCountOptions } from './count-whole.ts'
import { objectionTo } from './objection.ts'
import { findRefusedConsumer } from './refused-row.ts'
import type { Guilty } from './retreat.ts'
import { isReverting, type Member, signedChunks } from './signed-chunks.ts'

export type OrderObjection =
  /** With a code. */
  | { readonly kind: 'declined'; readonly why: string }
  /** Blocks of what is to be counted cannot be read. */
  | { readonly kind: 'recorded anew'; readonly files: readonly Guilty[] }

/** @returns undefined: nothing does. */
export async function objectionToOrder(
  session: Session,
  files: readonly Member[],
  options: LongCountOptions,
): Promise<OrderObjection | undefined> {
  try {
    const why = await objectionTo(session, files, options)
    return why === undefined ? undefined : { kind: 'declined', why }
  } catch (error) {
    if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
    const unread = await unreadableOf(session, files, options)
    const taken = files.find(
      file => isReverting(file) && unread.some(({ sequence }) => sequence === file.sequence),
    )
    if (taken !== undefined) return { kind: 'declined', why: unreadableText(taken) }
    if (unread.length === 0) return { kind: 'declined', why: describeError(error) }
    return { kind: 'recorded anew', files: unread }
  }
}

/** The same of a batch that was taken back: then a row that the server refuses is looked for too. */
export async function objectionAfterRetreat(
  session: Session,
  files: readonly Member[],
  options: LongCountOptions,
): Promise<OrderObjection | undefined> {
  const objection = await objectionToOrder(session, files, options)
  if (objection !== undefined) return objection
  const added = {
    async *chunks(pairsMax: number) {
      for await (const { plus } of signedChunks(session, options.names, files, pairsMax, null)) {
        if (plus.ids.length > 0) yield plus
      }
    },
  }
  const found = await findRefusedConsumer(session, added, options)
  return found && { kind: 'declined', why: reasonText(refusal(found)) }
}

function unreadableText({ name }: LedgerFile): string {
  return `BLOCK_UNREADABLE: the recorded sums of ${name} are not what they were: have the rows of the ledger restored`
}
