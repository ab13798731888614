import type { Finding } from '../../shared/findings.ts'
import { printable } from '../../shared/printable.ts'
import { EXIT, labelled, wrapText } from '../terminal/index.ts'

const VERDICT_COLUMNS = 6

/** A line a finding, and below it what mends it, as it can be copied. */
export function asText(findings: readonly Finding[], columns: number): string {
  const width = Math.max(...findings.map(({ check }) => check.length)) + 2
  const lines = findings.flatMap(({ check, verdict, found, mend }) => {
    const label = `${verdict.padEnd(VERDICT_COLUMNS)}${check.padEnd(width)}`
    const room = Math.max(NARROWEST, columns - label.length)
    return [
      ...labelled(label, wrapText(printable(found), room)),
      ...mend.map(one => `${' '.repeat(VERDICT_COLUMNS)}mend: ${printable(one)}`),
    ]
  })
  return `${[...lines, '', summary(findings)].join('\n')}\n`
}

const NARROWEST = 30

function summary(findings: readonly Finding[]): string {
  const { ok, warn, fail, notLookedAt } = tally(findings)
  const unknown = notLookedAt === 0 ? '' : ` (${notLookedAt} could not be looked at)`
  return `${ok} ok, ${warn} warn${unknown}, ${fail} FAIL`
}

export function exitOf(findings: readonly Finding[]): number {
  const { fail, notLookedAt } = tally(findings)
  return fail > 0 ? EXIT.no : notLookedAt > 0 ? EXIT.cannot : EXIT.ok
}

function tally(findings: readonly Finding[]) {
  const count = (verdict: Finding['verdict']): number =>
    findings.filter(one => one.verdict === verdict).length
  return {
    ...{ ok: count('ok'), warn: count('warn'), fail: count('FAIL') },
    notLookedAt: findings.filter(({ isKnown }) => !isKnown).length,
  }
}

export function asAnswer(stateDirectory: string, findings: readonly Finding[]) {
  return { stateDirectory, exit: exitOf(findings), ...tally(findings), checks: findings }
}
