/**
 * What was proved last, kept for who asks without proving again: `verify` writes it as a whole, a crash leaves
 * the one before. It tells of that moment and of no later one, so its time is in it.
 */

import { replaceFile } from '../../shared/durable.ts'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { readSmallFile } from '../../shared/secret-file.ts'
import { fields, list, time } from '../command-table/index.ts'
import { DIFFERENCE, FINDING, PROOF_END, type proofJson } from './verify.ts'

export const LAST_PROOF = fields({
  at: time('when it was proved, UTC'),
  result: PROOF_END,
  findings: list(FINDING, 'the first hundred'),
  differences: list(DIFFERENCE, 'the first hundred'),
})

/** As many as a person looks at; `verify --json` tells all. */
const KEPT_MAX = 100

export async function keepProof(
  { lastProof }: Pick<StatePaths, 'lastProof'>,
  { findings, differences, end }: ReturnType<typeof proofJson>,
): Promise<void> {
  const kept = {
    ...{ at: new Date().toISOString(), result: end },
    findings: findings.slice(0, KEPT_MAX).map(one => ({ ...one, text: one.text.slice(0, 2_000) })),
    differences: differences.slice(0, KEPT_MAX),
  }
  await replaceFile(lastProof, `${JSON.stringify(kept)}\n`)
}

export type LastProof = Pick<ReturnType<typeof proofJson>, 'findings' | 'differences'> & {
  readonly at: string
  readonly result: ReturnType<typeof proofJson>['end']
}

/** undefined: nothing was proved yet, or what is kept of it is nothing that was written here. */
export function readLastProof({ lastProof }: Pick<StatePaths, 'lastProof'>): LastProof | undefined {
  try {
    const kept = JSON.parse(readSmallFile(lastProof, 'the last proof').text) as LastProof
    return typeof kept?.at === 'string' && typeof kept.result === 'object' ? kept : undefined
  } catch (error) {
    const isMissing = error instanceof CountersinkError && hasCode(error.cause, 'ENOENT', 'ENOTDIR')
    if (error instanceof SyntaxError || isMissing) return undefined
    throw error
  }
}
