/**
 * Files a block of which is not what was recorded: they are left out of roll-ups, so that all others are
 * rolled up, and stay among what is not rolled up yet, of which all is told by what stands beside the blocks.
 * A roll-up leaves them before it has moved anything. Each parser finds them by itself, and looks at them
 * again now and then: what can be read again is rolled up as anything else.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import type { Session } from '../connection.ts'
import type { Fence } from '../counting/lease.ts'
import { BlockSums } from '../recording/block-sums.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { type Move, planOfMoves, readMoves } from './moves.ts'
import { openRollUp, type RollUp, unlike } from './rollup-row.ts'

export class LeftOut {
  readonly #files = new Map<bigint, Move>()
  #lookAtMs = 0

  get names(): readonly string[] {
    return [...this.#files.values()].map(({ name }) => name)
  }

  /** A condition for a posting `p`. */
  get others(): string {
    return this.#files.size === 0
      ? 'TRUE'
      : `p.file_sequence NOT IN (${[...this.#files.keys()].join(', ')})`
  }

  /** @returns false: they are too many. */
  add(files: readonly Move[]): boolean {
    if (this.#files.size + files.length > FILES_MAX) return false
    for (const file of files) this.#files.set(file.sequence, file)
    return true
  }

  /** At one of them, not more often than so. */
  async lookAgain(session: Session, names: LedgerNames, everyMs: number): Promise<void> {
    const [file] = this.#files.values()
    if (file === undefined || performance.now() < this.#lookAtMs) return
    this.#lookAtMs = performance.now() + everyMs
    this.#files.delete(file.sequence)
    // Another one the next time.
    if (!(await isWhole(session, names, file))) this.#files.set(file.sequence, file)
  }
}

/** A person has to do something about so many anyway. */
const FILES_MAX = 500

interface Options {
  readonly names: LedgerNames
  readonly lease: Fence
}

/**
 * Takes files that cannot be read out of the roll-up that is under way. One that makes days anew is given
 * up as a whole instead: it takes files in their order.
 *
 * @returns what has become of it; undefined: it has moved something already, or all of its files can be read.
 * @throws CountersinkError LEASE_LOST
 */
export async function leaveOut(
  session: Session,
  leftOut: LeftOut,
  { names, lease }: Options,
): Promise<'goes on' | 'given up' | undefined> {
  const open = await openRollUp(session, names)
  if (open === undefined || open.cursorId !== null) return undefined
  const moves = await readMoves(session, names, open)
  const unreadable = new Map<bigint, Move>()
  for (const move of moves) {
    if (unreadable.has(move.sequence) || (await isWhole(session, names, move))) continue
    unreadable.set(move.sequence, move)
  }
  if (unreadable.size === 0) return undefined
  const isRezoning = open.rezonesTo !== null
  if (!isRezoning && !leftOut.add([...unreadable.values()])) return undefined
  await transaction(session, async () => {
    await lease.fence(session)
    if (isRezoning) await giveUp(session, names, open)
    else {
      await session.executeEach(
        `UPDATE ${names.posting} SET rolled = NULL, day = NULL WHERE file_sequence = ? AND rolled = ?`,
        [...unreadable.keys()].map(sequence => [sequence, open.n]),
      )
      await planAnew(
        session,
        names,
        open,
        planOfMoves(moves.filter(one => !unreadable.has(one.sequence))),
      )
    }
    crashPoint('U7-before-commit')
  })
  crashPoint('U7-left-out')
  return isRezoning ? 'given up' : 'goes on'
}

async function planAnew(
  session: Session,
  { rollup }: LedgerNames,
  { n }: RollUp,
  { pairs, amount }: { pairs: bigint; amount: bigint },
): Promise<void> {
  const isSame = 'pairs_planned = ? AND amount_planned = CAST(? AS DECIMAL(38,0))'
  await session.execute(
    `UPDATE ${rollup} SET pairs_planned = ?, amount_planned = CAST(? AS DECIMAL(38,0))
      WHERE n = ? AND state = 'applying' AND cursor_id IS NULL`,
    [pairs, amount.toString(), n],
  )
  const rows = await session.query(
    `SELECT 1 FROM ${rollup} WHERE n = ? AND state = 'applying' AND cursor_id IS NULL AND ${isSame}`,
    [n, pairs, amount.toString()],
  )
  if (rows.length !== 1) throw unlike(n, 'somebody else has moved it')
}

async function giveUp(
  session: Session,
  { posting, rollup, meta }: LedgerNames,
  { n, rezonesTo }: RollUp,
): Promise<void> {
  await session.execute(
    `UPDATE ${posting} SET day = day_before, day_before = NULL
      WHERE file_sequence > (SELECT rezoned_to FROM ${meta}) AND file_sequence <= ?
        AND day_before IS NOT NULL`,
    [rezonesTo],
  )
  const removed = await session.execute(
    `DELETE FROM ${rollup} WHERE n = ? AND state = 'applying' AND cursor_id IS NULL`,
    [n],
  )
  if (removed !== 1) throw unlike(n, 'somebody else has moved it')
}

function isWhole(
  session: Session,
  names: LedgerNames,
  { sequence, sha256, pairs }: Move,
): Promise<boolean> {
  const content = { sequence, sha256, pairs: Number(pairs) }
  return new BlockSums(session, names, content).isWhole(async () => {})
}
