/** What `verify --json` prints. */

import { LEDGER_CHECKS, type Proof } from '../../parser/ledger/index.ts'
import { count, fields, flag, lines, oneOf, orNull, text } from '../command-table/index.ts'
import { addsUp } from '../reports/index.ts'

const signedAmount = {
  ...text('decimal, below zero where too little is there'),
  pattern: String.raw`^-?\d{1,39}$`,
}

export const FINDING = fields({
  kind: oneOf('finding'),
  check: oneOf(...LEDGER_CHECKS),
  text: text(),
})
export const DIFFERENCE = fields({
  ...{ kind: oneOf('difference'), id: { ...text(), pattern: String.raw`^-?\d{1,20}$` } },
  total: orNull(signedAmount, 'null: it has none'),
  ...{ expected: signedAmount, difference: signedAmount },
})
export const PROOF_END = fields({
  ...{ kind: oneOf('end'), full: flag(), addsUp: orNull(flag(), 'null: it cannot be said') },
  totals: orNull(signedAmount),
  ...{ opening: orNull(signedAmount), counted: orNull(signedAmount) },
  ...{ files: orNull(count('that are counted')), batchesOpen: orNull(count()) },
  ...{
    findings: count(
      'that are told: of a kind a hundred, and that there are more; each block that cannot be read',
    ),
  },
  differences: orNull(count('of which ten thousand are named'), 'null: not looked at'),
  unknownBecause: orNull(text('why nothing can be said of single consumers')),
  rejectedLines: orNull(count('bad lines of these files that were put aside')),
})
export const VERIFY_ANSWER = lines(FINDING, DIFFERENCE, PROOF_END)

/** Its lines: what is wrong, then each total that is not what it should be, then what holds of all. */
export function proofJson(proof: Proof, full: boolean) {
  const { sums, files, rejectedLines, findings, consumers } = proof
  const looked = consumers !== undefined && 'differences' in consumers ? consumers : undefined
  const unreadable = (looked?.unreadable ?? []).map(text => ({ check: 'blocks', text }))
  return {
    findings: [...findings, ...unreadable].map(one => ({ kind: 'finding', ...one })),
    differences: (looked?.differences ?? []).map(({ id, total, expected }) => ({
      ...{ kind: 'difference', id: `${id}`, total: total?.toString() ?? null },
      ...{ expected: `${expected}`, difference: `${(total ?? 0n) - expected}` },
    })),
    end: {
      ...{ kind: 'end', full, addsUp: addsUp({ findings, consumers }) ?? null },
      totals: sums?.totals.toString() ?? null,
      opening: sums?.opening.toString() ?? null,
      counted: sums?.counted.toString() ?? null,
      ...{ files: files ?? null, batchesOpen: sums?.batchesOpen ?? null },
      findings: findings.length + (looked?.unreadableCount ?? 0),
      differences: looked?.differencesCount ?? null,
      unknownBecause:
        consumers !== undefined && 'unknownBecause' in consumers ? consumers.unknownBecause : null,
      rejectedLines: rejectedLines ?? null,
    },
  }
}
