import type { PairChunk, Sums } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { judgeSqlError } from '../sql-errors.ts'
import { isBeyond, type LongCountOptions } from './count-whole.ts'

/** A consumer whose row the server refuses, in these words. */
export interface RefusedRow {
  readonly consumer: bigint
  readonly reason: string
}

/**
 * The first consumer whose row the server refuses, found by trying halves in transactions that are
 * rolled back: a server's words name the constraint, not the row. undefined when none is refused now.
 */
export async function findRefusedConsumer(
  session: Session,
  sums: Pick<Sums, 'chunks'>,
  {
    writer,
    chunkPairsMax,
    between,
  }: Pick<LongCountOptions, 'writer' | 'chunkPairsMax' | 'between'>,
): Promise<RefusedRow | undefined> {
  const refusalOf = async (chunk: PairChunk): Promise<string | undefined> => {
    await between()
    await session.execute('START TRANSACTION')
    try {
      await writer.add(session, chunk)
      return undefined
    } catch (error) {
      const judged = judgeSqlError(error)
      if (judged?.meaning !== 'row' && !isBeyond(error)) throw error
      return judged?.reason ?? String(error)
    } finally {
      await session.rollback()
    }
  }
  for await (const chunk of sums.chunks(chunkPairsMax)) {
    let reason = await refusalOf(chunk)
    if (reason === undefined) continue
    let [from, to] = [0, chunk.ids.length]
    while (to - from > 1) {
      const middle = (from + to) >>> 1
      const first = await refusalOf(part(chunk, from, middle))
      if (first === undefined) from = middle
      else [to, reason] = [middle, first]
    }
    return { consumer: chunk.ids[from]!, reason }
  }
  return undefined
}

function part({ ids, amounts }: PairChunk, from: number, to: number): PairChunk {
  return { ids: ids.subarray(from, to), amounts: amounts.subarray(from, to) }
}
