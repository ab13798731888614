/**
 * What stands in the way of a batch that takes something back, found before it begins: totals that have
 * less than is to be taken, because somebody else has lowered them, and those that what is added would
 * make too large. Reads every total that would be moved, and changes nothing.
 */

import { CountersinkError } from '../../../shared/errors.ts'
import type { PairChunk } from '../../sums/index.ts'
import type { Session } from '../connection.ts'
import type { LongCountOptions } from './count-whole.ts'
import { ID_BYTES_MAX, IDS_PER_QUERY_MAX, totalsOf } from './overflow.ts'
import { type Member, planOf, type SignedChunk, signedChunks } from './signed-chunks.ts'

type LookOptions = Pick<LongCountOptions, 'names' | 'range' | 'between'>

/**
 * @returns a code and words that name consumers; undefined: nothing does.
 * @throws CountersinkError BLOCK_UNREADABLE
 */
export async function objectionTo(
  session: Session,
  files: readonly Member[],
  options: LookOptions,
): Promise<string | undefined> {
  const idsPerQuery = Math.min(IDS_PER_QUERY_MAX, session.rowsPerStatement(ID_BYTES_MAX))
  const short = new Named()
  let { pairs: missing } = planOf(files)
  for await (const chunk of signedChunks(session, options.names, files, idsPerQuery, null)) {
    await options.between()
    missing -= BigInt(chunk.inputPairs)
    const totals = await totalsOf(session, idsOf(chunk), options.names)
    for (const [i, id] of chunk.minus.ids.entries()) {
      const amount = chunk.minus.amounts[i]!
      const total = totals.get(id)
      if (amount > 0n && (total ?? 0n) < amount) short.add(id, total, amount)
    }
    const beyond = tooLarge(chunk.plus, totals, options.range)
    if (beyond !== undefined) return beyond
  }
  if (missing !== 0n) {
    throw new CountersinkError('BLOCK_UNREADABLE', `the blocks of ${missing} pairs are not there`, {
      advice: 'Somebody has deleted rows of the ledger: have them restored from a backup.',
    })
  }
  return short.count === 0 ? undefined : `TOTAL_TOO_SMALL: ${short.text}`
}

function idsOf({ plus, minus }: SignedChunk): readonly bigint[] {
  return [...plus.ids, ...minus.ids]
}

function tooLarge(
  { ids, amounts }: PairChunk,
  totals: ReadonlyMap<bigint, bigint>,
  { idMax, amountMax }: LookOptions['range'],
): string | undefined {
  for (const [i, id] of ids.entries()) {
    if (id > idMax) {
      return `ID_OUT_OF_RANGE: consumer ${id} does not fit the id column, which ends at ${idMax}`
    }
    const total = totals.get(id) ?? 0n
    if (total + amounts[i]! > amountMax) {
      return `TOTAL_OVERFLOW: consumer ${id} stands at ${total}; adding ${amounts[i]} would pass ${amountMax}`
    }
  }
  return undefined
}

/** Totals that have too little: the first of them by name. */
class Named {
  readonly #texts: string[] = []
  count = 0

  add(id: bigint, total: bigint | undefined, amount: bigint): void {
    this.count += 1
    if (this.#texts.length === NAMED_MAX) return
    const has = total === undefined ? 'has no total' : `stands at ${total}`
    this.#texts.push(`consumer ${id} ${has}, and ${amount} would be taken`)
  }

  get text(): string {
    const others = this.count - this.#texts.length
    const more = others > 0 ? `; and ${others} more` : ''
    return `${this.#texts.join('; ')}${more}. They were emptied by a reset since, or somebody else has lowered them: "countersink verify --full" names the latter`
  }
}

const NAMED_MAX = 5
