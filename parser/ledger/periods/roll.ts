/**
 * Brings one roll-up to its end, from wherever it stands:
 *
 * - **begun** (U1): which postings it takes, and into which days. A crash leaves it to whoever counts next.
 * - **applying** (U2): a chunk of consumers a transaction, with its cursor.
 * - **applied** (U3): with the last chunk, if it has moved what was planned.
 *
 * It is done a part at a time, beside counting, and under its lease. A short transaction begins with that; one
 * that moves a chunk asks for it last, with all that others write too: whoever counts does not wait for the
 * chunk, and the chunk waits for one of theirs before it is committed. What it has read until then is its own:
 * of one holding of the lease nobody else changes periods, and of a later one its cursor is not where it was.
 */

import { crashPoint } from '../../../shared/crash-points.ts'
import type { KernelExports } from '../../kernel/index.ts'
import type { Session } from '../connection.ts'
import type { Fence } from '../counting/lease.ts'
import type { LedgerNames } from '../schema/tables.ts'
import { transaction } from '../transaction.ts'
import { type ChunkTools, rollChunk, rowsOfChunk } from './chunk.ts'
import { FileBlocks } from './file-blocks.ts'
import { beginWindow } from './id-window.ts'
import { readMoves } from './moves.ts'
import { endRezoning } from './rezone.ts'
import { endRollUp, moveRollUp, type RollUp } from './rollup-row.ts'

export interface RollOptions {
  readonly names: LedgerNames
  /** Of one holding of the lease. */
  readonly lease: Fence
  readonly instance: Uint8Array
  readonly kernel: KernelExports
  /** Made when there is something to roll up: some dozen megabytes. */
  readonly tools: () => ChunkTools
  /** Awaited between two steps; throws when it is to end there. */
  readonly between: () => Promise<void>
  /** Consumers of a chunk; tests have fewer. */
  readonly rowsMax?: number
}

/**
 * @yields between two chunks.
 * @throws CountersinkError LEASE_LOST, USAGE_UNLIKE, BLOCK_UNREADABLE
 */
export async function* bringToItsEnd(
  session: Session,
  rollUp: RollUp,
  { names, lease, tools: makeTools, between, rowsMax: most }: RollOptions,
): AsyncGenerator<void> {
  const { n } = rollUp
  const tools = makeTools()
  const moves = await readMoves(session, names, rollUp)
  const blocks = await FileBlocks.read(session, names, moves)
  const rowsMax = most ?? rowsOfChunk(moves)
  for (let after = rollUp.cursorId; ; ) {
    const behind = after ?? undefined
    const options = { blocks, moves, after: behind, rowsMax }
    const range = await beginWindow(session, names, tools.window, options)
    const isLast = range === undefined || blocks.firstBehind(range.to) === undefined
    if (after === null && !isLast) {
      // What was moved already could not be left out any more.
      for await (const _ of blocks.assertReadable(session, names, moves)) {
        yield
        await between()
      }
    }
    await transaction(session, async () => {
      const step = await fencedAtItsEnd(session, lease, async () =>
        range === undefined
          ? undefined
          : rollChunk(session, names, tools, { moves, blocks, range }),
      )
      if (step !== undefined) await moveRollUp(session, names, { ...step, n, after, to: range!.to })
      if (isLast) {
        if (rollUp.rezonesTo !== null) await endRezoning(session, names, rollUp.rezonesTo)
        await endRollUp(session, names, n)
      }
      crashPoint('U2-before-commit')
    })
    crashPoint('U2-chunk-rolled')
    if (isLast) break
    after = range!.to
    yield
    await between()
  }
  crashPoint('U3-rolled')
}

/** @throws CountersinkError LEASE_LOST, also where what somebody else has moved since is found to be unlike */
async function fencedAtItsEnd<T>(
  session: Session,
  lease: Fence,
  action: () => Promise<T>,
): Promise<T> {
  let result: T
  try {
    result = await action()
  } catch (error) {
    if (session.isUsable) await lease.fence(session)
    throw error
  }
  await lease.fence(session)
  return result
}
