import { CountersinkError, hasCode } from '../../../shared/errors.ts'
import { type Finding, fail, looked, notLookedAt } from '../../../shared/findings.ts'
import { judgeSqlError } from '../sql-errors.ts'

/** `looked`, of a question to MariaDB: its errors are findings, too. */
export function lookedInSql(
  check: string,
  look: () => Promise<string | Finding>,
  ...commonMend: readonly string[]
): Promise<Finding> {
  return looked(
    check,
    async () => {
      try {
        return await look()
      } catch (error) {
        const found = findingOf(check, error, commonMend)
        if (found === undefined) throw error
        return found
      }
    },
    ...commonMend,
  )
}

function findingOf(
  check: string,
  error: unknown,
  commonMend: readonly string[],
): Finding | undefined {
  if (error instanceof CountersinkError && !hasCode(error, 'DATABASE_UNAVAILABLE')) return undefined
  const judged = judgeSqlError(error)
  if (judged === undefined || judged.meaning === 'ours') return undefined
  return judged.meaning === 'refused'
    ? fail(check, judged.reason, ...commonMend)
    : notLookedAt(check, judged.reason)
}
