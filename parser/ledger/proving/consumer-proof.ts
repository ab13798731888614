/**
 * Every single total against what has made it: what stood there at first contact, and all postings of
 * files, from their blocks. In one snapshot, which the caller has begun, so that it is right beside
 * whoever counts meanwhile.
 *
 * The totals are gone through in windows of ascending ids, and of each everything is taken away that was
 * posted to it: what is left must be nothing. A window is some dozen megabytes however many totals and
 * files there are; with several, the blocks in which two of them meet are read twice.
 */

import type { Config } from '../../../shared/config.ts'
import { describeError, hasCode } from '../../../shared/errors.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import type { IdRange } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import { openingSeed, openingSequence } from '../schema/opening-blocks.ts'
import { type LedgerNames, ledgerNames } from '../schema/tables.ts'
import type { OpeningBlocks } from './opening-of.ts'
import { blocksOf, type Portion, type Posted, postedBlocks } from './posted-blocks.ts'
import { type Difference, TotalsWindow, WINDOW_LIMITS, type WindowLimits } from './totals-window.ts'

export interface ConsumerProof {
  /** The first ones, by id. */
  readonly differences: readonly Difference[]
  readonly differencesCount: number
  /** Blocks that are not what was recorded, the first ones: in which file, and what is wrong. */
  readonly unreadable: readonly string[]
  readonly unreadableCount: number
}

export interface ConsumerProofOptions {
  /** The opening balance's blocks; undefined: there was nothing then. */
  readonly opening: OpeningBlocks | undefined
  /** In the table of totals. */
  readonly totalsRows: number
  /** So many differences are named. */
  readonly differencesMax: number
  /** How much is done, of 1. */
  readonly onProgress?: (share: number) => void
  readonly limits?: WindowLimits
}

export async function proveConsumers(
  session: Session,
  config: Config,
  options: ConsumerProofOptions,
): Promise<ConsumerProof> {
  const found = new Findings(options.differencesMax)
  const work = await Work.begin(session, config, options)
  const window = new TotalsWindow(options.limits ?? WINDOW_LIMITS)
  found.add(await work.belowZero())
  for (let after: bigint | undefined; ; after = window.range.to) {
    let wanted: IdRange = { after, to: U64_MAX }
    for (;;) {
      const unreadable = await work.settle(window, wanted)
      if (!window.isCrowded) {
        found.add(window.differences())
        for (const text of unreadable) found.addUnreadable(text)
        break
      }
      wanted = window.shorter
    }
    if (window.range.to === U64_MAX) return found
  }
}

class Findings implements ConsumerProof {
  readonly #differencesMax: number
  readonly differences: Difference[] = []
  readonly unreadable: string[] = []
  differencesCount = 0
  unreadableCount = 0

  constructor(differencesMax: number) {
    this.#differencesMax = differencesMax
  }

  /** Those of a window, whose ids are above all before. */
  add(differences: Iterable<Difference>): void {
    const room = this.#differencesMax - this.differences.length
    const named: Difference[] = []
    for (const one of differences) {
      this.differencesCount += 1
      if (named.length < room) named.push(one)
    }
    this.differences.push(...named.sort((a, b) => (a.id < b.id ? -1 : 1)))
  }

  addUnreadable(text: string): void {
    this.unreadableCount += 1
    if (this.unreadable.length < UNREADABLE_MAX) this.unreadable.push(text)
  }
}

const UNREADABLE_MAX = 100

class Work {
  readonly #session: Session
  readonly #names: LedgerNames
  readonly #options: ConsumerProofOptions
  readonly #size: { readonly rows: number; readonly postings: number }
  #rowsDone = 0

  private constructor(
    session: Session,
    config: Config,
    options: ConsumerProofOptions,
    size: { readonly rows: number; readonly postings: number },
  ) {
    this.#session = session
    this.#names = ledgerNames(config)
    this.#options = options
    this.#size = size
  }

  static async begin(
    session: Session,
    config: Config,
    options: ConsumerProofOptions,
  ): Promise<Work> {
    const { posting } = ledgerNames(config)
    const [row] = await session.query<{ postings: bigint }>(
      `SELECT COUNT(*) AS postings FROM ${posting} WHERE folded = 0`,
    )
    const size = { rows: options.totalsRows, postings: Number(row?.postings ?? 0) }
    return new Work(session, config, options, size)
  }

  /** Ids that no file can have, in tables of theirs that take them: these must be as they were. */
  async belowZero(): Promise<Difference[]> {
    const { totals, id, amount } = this.#names
    const { opening } = this.#options
    const was =
      opening === undefined
        ? '0'
        : `COALESCE((SELECT w.amount FROM ${this.#names.opening_wide} w
             WHERE w.generation = ${opening.generation} AND w.id = t.${id}), 0)`
    const rows = await this.#session.query<WideRow & { readonly was: string | number | bigint }>(
      `SELECT * FROM (SELECT ${id} AS id, COALESCE(${amount}, 0) AS amount, ${was} AS was
         FROM ${totals} t WHERE ${id} < 0) AS below WHERE amount <> was ORDER BY id LIMIT ?`,
      [this.#options.differencesMax],
    )
    return rows.map(({ id, amount, was }) => ({
      ...{ id: BigInt(id), total: BigInt(amount), expected: BigInt(was) },
    }))
  }

  /**
   * Fills the window and takes away whatever was posted to its ids, until it is crowded.
   *
   * @returns what is wrong with blocks that begin in it.
   */
  async settle(window: TotalsWindow, wanted: IdRange): Promise<readonly string[]> {
    await window.fill(this.#session, this.#names, wanted)
    const { after = -1n } = window.range
    const unreadable: string[] = []
    await this.#takeWideOpening(window)
    for await (const portion of ahead(this.#portions(window))) {
      for (const one of portion) {
        window.take(one, (error, { firstId }) => {
          if (!hasCode(error, 'BLOCK_UNREADABLE')) throw error
          if (firstId > after) unreadable.push(`${nameOf(one.posted)}: ${describeError(error)}`)
        })
      }
      if (window.isCrowded) return unreadable
    }
    this.#rowsDone += window.rows
    return unreadable
  }

  async *#portions(window: TotalsWindow): AsyncGenerator<Portion> {
    const { range, rows } = window
    const { opening, onProgress } = this.#options
    if (opening !== undefined) {
      const posted = {
        sequence: openingSequence(opening.generation),
        sha256: openingSeed(opening.ledgerUuid, opening.generation),
        ...{ name: undefined, isBack: false, range },
      }
      yield* blocksOf(this.#session, this.#names, posted)
    }
    let postingsDone = 0
    yield* postedBlocks(this.#session, this.#names, range, count => {
      postingsDone += count
      const share = postingsDone / Math.max(1, this.#size.postings)
      onProgress?.(Math.min(1, (this.#rowsDone + rows * share) / Math.max(1, this.#size.rows)))
    })
  }

  async #takeWideOpening(window: TotalsWindow): Promise<void> {
    const { opening } = this.#options
    let { after = -1n } = window.range
    while (opening !== undefined) {
      const rows: WideRow[] = await this.#session.query<WideRow>(
        `SELECT id, amount FROM ${this.#names.opening_wide}
          WHERE generation = ${opening.generation} AND id > ${after} AND id <= ${window.range.to}
          ORDER BY id LIMIT ${WIDE_AT_ONCE}`,
      )
      for (const { id, amount } of rows) window.takeOne(BigInt(id), BigInt(amount))
      if (rows.length < WIDE_AT_ONCE || window.isCrowded) return
      after = BigInt(rows.at(-1)!.id)
    }
  }
}

const WIDE_AT_ONCE = 10_000

interface WideRow {
  readonly id: string | number | bigint
  readonly amount: string | number | bigint
}

function nameOf({ name, sha256 }: Posted): string {
  return name === undefined
    ? 'the opening balance'
    : `${name} (${sha256.toString('hex').slice(0, 16)})`
}

/** Asks for the next one while the last one is worked on: the server is at work meanwhile. */
async function* ahead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  const next = (): Promise<IteratorResult<T>> => {
    const asked = source.next()
    asked.catch(() => {
      // Told when it is waited for.
    })
    return asked
  }
  let coming = next()
  try {
    for (;;) {
      const { done, value } = await coming
      if (done) return
      coming = next()
      yield value
    }
  } finally {
    // Whoever has seen enough asks the session something else.
    await coming.catch(() => {})
    await source.return(undefined)
  }
}
