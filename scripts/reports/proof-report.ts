/**
 * The proof of the totals as a person reads it: what is wrong, a line each, then whether it adds up.
 */

import type { Proof } from '../../parser/ledger/index.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { asideText, formatTable, wrapText } from '../terminal/index.ts'

export function proofLines(proof: Proof, columns: number): string[] {
  const { sums, files = 0, rejectedLines = 0, findings, consumers } = proof
  const lines = findings.flatMap(({ check, text }) => wrapText(`${check}: ${text}`, columns))
  if (consumers !== undefined && 'differences' in consumers) {
    const { differences, differencesCount, unreadable, unreadableCount } = consumers
    lines.push(...unreadable.flatMap(text => wrapText(`blocks: ${text}`, columns)))
    lines.push(...more(unreadableCount - unreadable.length, 'blocks like these'))
    if (differences.length > 0) {
      const rows = differences.map(({ id, total, expected }) => [
        ...[String(id), total === undefined ? 'none' : formatCount(total), formatCount(expected)],
        signed((total ?? 0n) - expected),
      ])
      lines.push(...formatTable(HEAD, rows, new Set([1, 2, 3])))
    }
    lines.push(...more(differencesCount - differences.length, 'consumers that differ'))
  }
  if (sums !== undefined) {
    const { opening, counted, totals, batchesOpen } = sums
    const open =
      batchesOpen === 0
        ? ''
        : `, ${formatCount(batchesOpen)} ${batchesOpen === 1 ? 'batch' : 'batches'} being counted`
    const aside = rejectedLines === 0 ? '' : `, ${asideText({ rejectedLines })}`
    const text = `opening balance ${formatCount(opening)} + ${formatCount(counted)} counted = ${formatCount(opening + counted)}; the totals are ${formatCount(totals)} (${formatCountOf(files, 'file')}${aside}${open})`
    lines.push(...wrapText(text, columns))
  }
  return [...lines, ...wrapText(verdictOf(proof), columns)]
}

const HEAD = ['consumer', 'total', 'expected', 'difference']

function verdictOf({ consumers, ...proof }: Proof): string {
  const isWrong = addsUp({ consumers, ...proof }) === false
  if (isWrong) return 'It does not add up.'
  if (consumers === undefined) {
    return 'It adds up, all together. "countersink verify --full" looks at each consumer.'
  }
  if ('unknownBecause' in consumers) {
    return `It adds up, all together. Of single consumers it cannot be said: ${consumers.unknownBecause}.`
  }
  return 'It adds up, consumer by consumer.'
}

/** undefined: of single consumers, which were asked for, it cannot be said. */
export function addsUp({
  findings,
  consumers,
}: Pick<Proof, 'findings' | 'consumers'>): boolean | undefined {
  if (findings.length > 0) return false
  if (consumers === undefined) return true
  if ('unknownBecause' in consumers) return undefined
  return consumers.differencesCount === 0 && consumers.unreadableCount === 0
}

function more(count: number, what: string): string[] {
  return count > 0 ? [`… and ${formatCount(count)} more ${what}`] : []
}

function signed(amount: bigint): string {
  return amount < 0n ? `-${formatCount(-amount)}` : `+${formatCount(amount)}`
}
