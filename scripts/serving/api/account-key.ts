/**
 * Where a page of an account goes on, and what all before it make. Whoever makes one up gets running totals that
 * are made up; it opens nothing.
 */

import type { PostingPlace } from '../../../parser/ledger/index.ts'
import type { AccountTally } from '../../reports/index.ts'

/** The batch, the file and which posting of it; then postings and amounts: of all, before the period, after it. */
export const ACCOUNT_KEY = /^[0-9a-f]{32}\.\d{1,19}\.\d{1,9}(?:\.\d{1,15}\.-?\d{1,39}){3}$/

export function accountKey(
  { batchId, fileSequence, n }: PostingPlace,
  { postings, expected, before, after }: AccountTally,
): string {
  return [
    ...[batchId.toString('hex'), fileSequence, n, postings, expected],
    ...[before.postings, before.amount, after.postings, after.amount],
  ].join('.')
}

/** @param key as `ACCOUNT_KEY` has it. */
export function parseAccountKey(key: string): {
  readonly place: PostingPlace
  readonly tally: AccountTally
} {
  const [batch = '', ...numbers] = key.split('.')
  const [file = 0n, n = 0n, postings = 0n, expected = 0n, ...outside] = numbers.map(BigInt)
  const [before = 0n, beforeAmount = 0n, after = 0n, afterAmount = 0n] = outside
  return {
    place: { batchId: Buffer.from(batch, 'hex'), fileSequence: file, n },
    tally: {
      ...{ postings: Number(postings), expected },
      before: { postings: Number(before), amount: beforeAmount },
      after: { postings: Number(after), amount: afterAmount },
    },
  }
}
