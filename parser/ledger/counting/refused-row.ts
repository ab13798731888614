import type { PairChunk, Sums } from '../../sums/index.ts'
import type { TotalsWriter } from '../adding/totals-writer.ts'
import type { Session } from '../connection.ts'
import { judgeSqlError } from '../sql-errors.ts'
import { isBeyond } from './count-whole.ts'

/**
 * The first consumer whose row the server refuses, found by trying halves in transactions that are
 * rolled back: a server's words name the constraint, not the row. undefined when none is refused now.
 */
export async function findRefusedConsumer(
  session: Session,
  writer: TotalsWriter,
  sums: Sums,
  chunkPairsMax: number,
): Promise<bigint | undefined> {
  const isRefused = async (chunk: PairChunk): Promise<boolean> => {
    await session.execute('START TRANSACTION')
    try {
      await writer.add(session, chunk)
      return false
    } catch (error) {
      if (judgeSqlError(error)?.meaning !== 'row' && !isBeyond(error)) throw error
      return true
    } finally {
      await session.rollback()
    }
  }
  for await (const chunk of sums.chunks(chunkPairsMax)) {
    if (!(await isRefused(chunk))) continue
    let [from, to] = [0, chunk.ids.length]
    while (to - from > 1) {
      const middle = (from + to) >>> 1
      if (await isRefused(part(chunk, from, middle))) to = middle
      else from = middle
    }
    return chunk.ids[from]
  }
  return undefined
}

function part({ ids, amounts }: PairChunk, from: number, to: number): PairChunk {
  return { ids: ids.subarray(from, to), amounts: amounts.subarray(from, to) }
}
