import type { ProcessIdentity } from '../shared/lifecycle.ts'

/**
 * The names that the generator gives: `usage-STREAM-NUMBER.txt` in the inbox, and in its tmp
 * directory the same with its maker behind it, so that a later process can tell whether anybody
 * still writes there.
 */
const FILE_NAME = /^usage-([0-9a-f]{8})-(\d{6,16})\.txt$/
const TMP_NAME = /\.(\d{1,10})\.(\d{1,20})\.tmp$/
const NUMBER_DIGITS = 6

/** The name of a stream's file; numbers count from 1 and sort as text up to 999,999. */
export function generatedName(stream: string, number: number): string {
  return `usage-${stream}-${String(number).padStart(NUMBER_DIGITS, '0')}.txt`
}

/** The reverse of `generatedName`; undefined for names that no generator gives. */
export function parseGeneratedName(name: string): { stream: string; number: number } | undefined {
  const match = FILE_NAME.exec(name)
  if (match?.[1] === undefined) return undefined
  return { stream: match[1], number: Number(match[2]) }
}

export function tmpName(name: string, owner: ProcessIdentity): string {
  return `${name}.${owner.pid}.${owner.startTime}.tmp`
}

/** Who writes to a file of this name; undefined for what `tmpName` did not make. */
export function ownerOfTmp(tmp: string): ProcessIdentity | undefined {
  const match = TMP_NAME.exec(tmp)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { pid: Number(match[1]), startTime: match[2] }
}
