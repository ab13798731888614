/**
 * Adds chunks of sums to the totals, inside the caller's transaction.
 *
 * - **A dense piece whose rows are probably there**: one UPDATE of the range. It touches each row
 *   once and in order, where an upsert first fails to insert it. The number of changed rows proves
 *   that none was missing (see `SumStatements.update`); otherwise the missing ones, and no others, are
 *   inserted. Sums of zero, which that proof cannot see, are upserted besides: they make rows too.
 * - **What that does not prove**: rows without an amount; a row that somebody else has made between
 *   UPDATE and INSERT; a server without the SEQUENCE engine. All is undone back to a savepoint, and
 *   the piece is upserted.
 * - **All else**: INSERT … ON DUPLICATE KEY UPDATE.
 *
 * Rows of a period, by day or by month, are written in the same way (`SumRows`).
 *
 * It keeps a guess of which rows are there from one batch to the next. That is about speed alone,
 * and bounded.
 */

import { CountersinkError } from '../../../shared/errors.ts'
import type { PairChunk } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { SQL_DUPLICATE_KEY, sqlNumber } from '../sql-errors.ts'
import {
  type ChunkWords,
  chunkWords,
  type Piece,
  type PieceLimits,
  piecesOf,
} from './chunk-pieces.ts'
import { U64_DIGITS } from './decimal-bytes.ts'
import { PresenceGuess } from './presence-guess.ts'
import { SEQUENCE_ROWS } from './sequence-engine.ts'
import { type Prepared, type Selection, type SumRows, SumStatements } from './sum-statements.ts'

/** Sizes of statements; tests have them smaller. */
export interface WriterLimits extends PieceLimits {
  /** Fewer rows are sent as a list, which needs no table of rows. */
  readonly upsertPairsMin: number
}

/**
 * From about 4,096 ids a statement on the server is nearly as fast as it gets. What is sent at once
 * and the connector's copy of it stay below 128 KiB: its next larger buffer is of a megabyte.
 */
const LIMITS: WriterLimits = {
  digitBytesMax: 120 * 1024,
  pairsMax: SEQUENCE_ROWS,
  cellPairs: 256,
  densePairsMin: 64,
  upsertPairsMin: 64,
}

export class TotalsWriter {
  readonly #names: SumRows
  readonly #limits: WriterLimits
  readonly #guess = new PresenceGuess()
  #statements: SumStatements | undefined
  #digitBytesMax = 0
  #period = ''

  constructor(names: SumRows, limits: WriterLimits = LIMITS) {
    this.#names = names
    this.#limits = limits
  }

  /** From now on this period's rows are meant, as `2026-01-31`. */
  turnTo(period: string): void {
    this.#period = period
  }

  /**
   * Adds all sums of a chunk, in ascending order of id. If it rejects, the transaction must be
   * rolled back.
   *
   * @throws what MariaDB answers, such as 1690 and 1264 for what does not fit its column;
   *   CountersinkError DATABASE_FAILED if it tells of fewer changes than there must be.
   */
  async add(session: Session, chunk: PairChunk): Promise<void> {
    const words = chunkWords(chunk)
    if (words.pairs === 0) return
    this.#guess.startChunk(words.ids[1]!, words.ids[0]!)
    const limits = this.#limitsOf(session)
    const hasRows = words.pairs >= limits.upsertPairsMin && (await session.hasSequences())
    const steps = piecesOf(words, limits).map((piece): Step => {
      const isListed = !(hasRows && piece.to - piece.from >= limits.upsertPairsMin)
      return { piece, kind: piece.isDense ? 'undecided' : 'upsert', isListed }
    })
    let savedAt: number | undefined
    let isCareful = false
    let ahead: Prepared | undefined
    for (let i = 0; i < steps.length; ) {
      const step = steps[i]!
      const next = steps[i + 1]
      this.#decide(step)
      // One savepoint will do until an UPDATE has failed: then one each, so that no more is redone.
      if (step.kind === 'update' && (savedAt === undefined || isCareful)) {
        await session.execute('SAVEPOINT countersink_piece')
        savedAt = i
      }
      const statement = ahead ?? this.#prepare(words, step)
      const sent = this.#send(session, words, step, statement)
      // The next statement is made while the server works on this one.
      if (next !== undefined) this.#decide(next)
      ahead = next && this.#prepare(words, next)
      const changed = await sent
      if (step.kind === 'update') {
        const isFew = changed * 2 < sumsAboveZero(step.piece)
        this.#guess.found(isFew ? 'few' : 'most')
        if (isFew && next?.kind === 'update') {
          // Where to try next is decided anew.
          next.kind = 'undecided'
          ahead = undefined
        }
      }
      const outcome = await this.#complete(session, words, step, { statement, changed })
      if (outcome === 'added') {
        i += 1
        continue
      }
      if (outcome === 'unproven') {
        await session.execute('ROLLBACK TO SAVEPOINT countersink_piece')
        isCareful = true
        i = savedAt ?? 0
      }
      step.kind = 'upsert'
      ahead = undefined
    }
  }

  /**
   * Takes all sums of a chunk from the totals, by UPDATE alone, in ascending order of id.
   *
   * @returns false: some total is not there, or less than what is to be taken. If it rejects or says
   *   so, the transaction must be rolled back.
   */
  async take(session: Session, chunk: PairChunk): Promise<boolean> {
    const words = chunkWords(chunk)
    if (words.pairs === 0) return true
    const limits = this.#limitsOf(session)
    const hasRows = words.pairs >= limits.upsertPairsMin && (await session.hasSequences())
    for (const piece of piecesOf(words, limits)) {
      const pairs = piece.to - piece.from
      const isRange = piece.isDense && pairs >= limits.densePairsMin
      const isListed = !isRange && !(hasRows && pairs >= limits.upsertPairsMin)
      let changed = 0
      if (!isListed) {
        const { sql, values } = isRange
          ? this.#sql.takeFromRange(words, piece)
          : this.#sql.takeFromRows(words, piece)
        changed = await session.executePrepared(sql, values)
      }
      for (let at = piece.from; isListed && at < piece.to; ) {
        const { text, next } = this.#sql.takeFromList(
          words,
          at,
          Math.min(piece.to, at + TAKEN_AT_ONCE_MAX),
        )
        changed += await session.execute(text)
        at = next
      }
      if (changed !== sumsAboveZero(piece)) return false
    }
    return true
  }

  /** Does what a step's statement has left to do, and proves that all of it was added once. */
  async #complete(
    session: Session,
    words: ChunkWords,
    { kind, piece, isListed }: Step,
    { statement, changed }: { statement: Prepared | undefined; changed: number },
  ): Promise<'added' | 'nothing' | 'unproven'> {
    if (kind === 'upsert') {
      assertChanged(changed, piece)
      return 'added'
    }
    const missing = sumsAboveZero(piece) - changed
    if (missing > 0 && changed === 0) return 'nothing'
    if (missing !== 0) {
      const fill = isListed ? undefined : statement?.fill
      if (fill === undefined || (await inserted(session, fill)) !== missing) return 'unproven'
    }
    if (piece.zeros > 0) await this.#list(session, words, piece, 'zeros')
    return 'added'
  }

  /** The statement of a step that is decided; undefined if its pairs are listed. */
  #prepare(words: ChunkWords, { kind, piece, isListed }: Step): Prepared | undefined {
    if (kind === 'update') return this.#sql.update(words, piece)
    return isListed ? undefined : this.#sql.upsert(words, piece)
  }

  #send(
    session: Session,
    words: ChunkWords,
    step: Step,
    statement: Prepared | undefined,
  ): Promise<number> {
    if (statement === undefined) return this.#list(session, words, step.piece, 'all')
    return session.executePrepared(statement.sql, statement.values)
  }

  async #list(
    session: Session,
    words: ChunkWords,
    { from, to }: Piece,
    selection: Selection,
  ): Promise<number> {
    let changed = 0
    for (let at = from; at < to; ) {
      const { text, next } = this.#sql.list(words, at, to, selection)
      if (text !== undefined) changed += await session.execute(text)
      at = next
    }
    return changed
  }

  get #sql(): SumStatements {
    this.#statements ??= new SumStatements(this.#names, this.#digitBytesMax)
    this.#statements.period = this.#period
    return this.#statements
  }

  /** The limits, narrowed to what this server takes. */
  #limitsOf(session: Session): WriterLimits {
    const { pairsMax, cellPairs } = this.#limits
    // Ids and amounts may travel in one packet, with little besides.
    const digitBytesMax = Math.min(
      this.#limits.digitBytesMax,
      Math.max(DIGIT_BYTES_MIN, Math.floor(session.packetBytesMax / 3)),
    )
    if (digitBytesMax !== this.#digitBytesMax) this.#statements = undefined
    this.#digitBytesMax = digitBytesMax
    return {
      ...this.#limits,
      digitBytesMax,
      pairsMax: Math.min(pairsMax, SEQUENCE_ROWS),
      cellPairs: Math.min(cellPairs, Math.floor(digitBytesMax / PAIR_DIGITS_MAX)),
    }
  }

  #decide(step: Step): void {
    if (step.kind !== 'undecided') return
    step.kind = this.#guess.expectsRows() ? 'update' : 'upsert'
  }
}

interface Step {
  readonly piece: Piece
  kind: 'undecided' | 'update' | 'upsert'
  /** An upsert of it is a list. */
  readonly isListed: boolean
}

/** Digits of an id and an amount at their longest. */
const PAIR_DIGITS_MAX = 2 * U64_DIGITS

/** Rows of a list; the server looks through the cases of each one by one. */
const TAKEN_AT_ONCE_MAX = 64

/** Room for one pair at least. */
const DIGIT_BYTES_MIN = PAIR_DIGITS_MAX

/** undefined: somebody else has just made one of the rows, and none was inserted. */
async function inserted(session: Session, { sql, values }: Prepared): Promise<number | undefined> {
  try {
    return await session.executePrepared(sql, values)
  } catch (error) {
    if (sqlNumber(error) === SQL_DUPLICATE_KEY) return undefined
    throw error
  }
}

function sumsAboveZero({ from, to, zeros }: Piece): number {
  return to - from - zeros
}

/** Each sum above zero makes a row (counted as 1) or changes one (2). */
function assertChanged(changed: number, piece: Piece): void {
  const pairs = piece.to - piece.from
  if (changed >= sumsAboveZero(piece) && changed <= 2 * pairs) return
  throw new CountersinkError(
    'DATABASE_FAILED',
    `MariaDB tells of ${changed} changes of totals where ${pairs} sums were added`,
    { advice: 'Nothing of it was committed. This is not expected: please report it.' },
  )
}
