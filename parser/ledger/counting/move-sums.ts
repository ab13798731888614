import type { PairChunk } from '../../sums/index.ts'
import { readBackAround } from '../adding/read-back.ts'
import type { Session } from '../connection.ts'
import { judgeSqlError } from '../sql-errors.ts'
import { type CountOptions, isBeyond } from './count-whole.ts'

/** Which pairs are added to the totals, and which are taken from them; no consumer is in both. */
export interface Moves {
  readonly plus: PairChunk
  readonly minus: PairChunk
}

/**
 * Moves totals inside the caller's transaction, which must be rolled back unless they were moved.
 *
 * @returns `short`: some total has less than is to be taken; `refused`: the server refuses a row.
 */
export async function moveSums(
  session: Session,
  { plus, minus }: Moves,
  { names, writer, readsBack }: Pick<CountOptions, 'names' | 'writer' | 'readsBack'>,
): Promise<'moved' | 'short' | 'refused'> {
  try {
    const take = (): Promise<boolean> => writer.take(session, minus)
    // What is not taken changes nothing, and all of it is undone.
    const mayTake = readsBack ? () => readBackAround(session, names, minus, -1n, take) : take
    if (!(await mayTake())) return 'short'
    const add = (): Promise<void> => writer.add(session, plus)
    await (readsBack ? readBackAround(session, names, plus, 1n, add) : add())
    return 'moved'
  } catch (error) {
    if (!isBeyond(error) && judgeSqlError(error)?.meaning !== 'row') throw error
    return 'refused'
  }
}
