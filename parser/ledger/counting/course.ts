/**
 * The course of a batch of recorded contents, from wherever it stands to its end: applied, or taken back.
 * The states are the ledger's (`batch-states.ts`): after anything that happens they are asked again.
 */

import { filesOfBatch } from '../asking/rows.ts'
import type { Session } from '../connection.ts'
import type { LedgerFile } from '../file-rows.ts'
import { transaction } from '../transaction.ts'
import { changeBatch, findBatch } from './batch-row.ts'
import { blame, unlessUnreadable } from './blame.ts'
import { advanceStaged, type BeginResult } from './count-staged.ts'
import type { LongCountOptions } from './count-whole.ts'
import { objectionAfterRetreat } from './order-objection.ts'
import { replan } from './replan.ts'
import { advanceReset } from './reset.ts'
import { beginRetreat, endRetreat, type Guilty, takeBackApplied } from './retreat.ts'
import { isReverting, membersOf, type StagedBatch } from './signed-chunks.ts'

export type StagedResult =
  | { readonly kind: 'applied' }
  /** Not begun: its files are not as they were thought to be. */
  | { readonly kind: 'changed' }
  /** Its files are staged again, or refused. */
  | {
      readonly kind: 'given back'
      /** Those whose blocks cannot be read: they are to be recorded anew. */
      readonly unreadable: readonly LedgerFile[]
      /** Why the order that has asked for it is refused; undefined: it is tried again, or there is none. */
      readonly refusedBecause?: string | undefined
    }
  | { readonly kind: 'blocked'; readonly reason: string }

/** What a course makes known of itself. */
export interface CourseEvents {
  readonly onBegun: () => void
  /** So many pairs more are in the totals. */
  readonly onChunk: (pairs: number) => void
}

/**
 * @param begin makes the batch's row, where there is none; `unproven`: its files are to be looked at, and
 *   those that cannot be counted taken off the list by `takeOff`.
 * @throws the signal's reason between two chunks; CountersinkError LEASE_LOST; BLOCK_UNREADABLE when what
 *   is applied of it cannot be taken back.
 */
export async function bringToEnd(
  session: Session,
  batch: StagedBatch,
  begin: (checked: boolean) => Promise<BeginResult>,
  takeOff: () => Promise<Guilty[]>,
  options: LongCountOptions & CourseEvents,
): Promise<StagedResult> {
  const { names, lease } = options
  for (let checked = false; ; ) {
    const position = await findBatch(session, batch.id, names)
    switch (position?.state) {
      case undefined: {
        const begun = await begin(checked)
        if (begun === 'changed') return { kind: begun }
        if (begun === 'unproven') {
          const guilty = await takeOff()
          if (guilty.length > 0) return givenBack(batch, guilty)
          checked = true
        } else options.onBegun()
        break
      }
      case 'applied':
        return { kind: 'applied' }
      case 'unrecorded': {
        const isPlanned = await replan(session, batch, position, options)
        if (!isPlanned) return { kind: 'blocked', reason: NOT_ITS_SUMS }
        break
      }
      case 'applying': {
        const advanced =
          batch.kind === 'reset'
            ? await advanceReset(session, batch, position, options)
            : await unlessUnreadable(advanceStaged(session, batch, position, options))
        if (advanced?.kind === 'applied') return advanced
        await beginRetreat(session, batch.id, options)
        break
      }
      case 'blocked':
        await transaction(session, async () => {
          await lease.fence(session)
          await changeBatch(session, batch.id, names, 'unblock')
        })
        break
      case 'retreating': {
        // What a reset has taken was recorded as it went.
        const whole =
          batch.kind === 'reset'
            ? { ...batch, files: membersOf(await filesOfBatch(session, names, batch.id)) }
            : batch
        const isTaken = await takeBackApplied(session, whole, position, options)
        if (!isTaken) return { kind: 'blocked', reason: LOWERED }
        return await giveBack(session, whole, options)
      }
    }
  }
}

/** The end of a batch of which nothing is applied any more. */
async function giveBack(
  session: Session,
  batch: StagedBatch,
  options: LongCountOptions,
): Promise<StagedResult> {
  if (batch.kind === 'count') {
    const guilty = await blame(session, batch, options)
    await endRetreat(session, batch, guilty, options)
    return givenBack(batch, guilty)
  }
  const objection =
    batch.kind === 'reset'
      ? ({ kind: 'declined', why: RESET_REFUSED } as const)
      : await objectionAfterRetreat(session, batch.files, options)
  if (objection?.kind !== 'declined') {
    const unread = objection?.files ?? []
    await endRetreat(session, batch, unread, options)
    return givenBack(batch, unread)
  }
  const { why } = objection
  // What was to be counted instead is not, for the same reason.
  const counted = batch.files.filter(file => !isReverting(file))
  const refused = counted.map(({ sequence }) => ({ sequence, reason: why }))
  await endRetreat(session, batch, refused, options, why)
  return { ...givenBack(batch, refused), refusedBecause: why }
}

function givenBack({ files }: StagedBatch, guilty: readonly Guilty[]) {
  const lost = new Set(guilty.flatMap(({ sequence, reason }) => (reason ? [] : sequence)))
  const unreadable = files.filter(({ sequence }) => lost.has(sequence))
  return { kind: 'given back', unreadable } as const
}

export const RESET_REFUSED =
  'TOTAL_REFUSED: MariaDB does not let a total be set to zero: a trigger or a constraint of its table forbids it. Nothing was emptied'

const LOWERED =
  'it cannot be finished, and not be taken back: a total has less than was added to it, so somebody else has lowered it'

const NOT_ITS_SUMS =
  'an earlier version has begun it, and what that has applied is not what the recorded sums of its files are'
