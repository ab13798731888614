import type { ProcessIdentity } from '../../shared/lifecycle.ts'

/**
 * The names of what is being written to the tmp directory: what it becomes, and its maker behind it, so
 * that a later process can tell whether anybody still writes there.
 */
const TMP_NAME = /\.(\d{1,10})\.(\d{1,20})\.tmp$/

export function tmpName(name: string, owner: ProcessIdentity): string {
  return `${name}.${owner.pid}.${owner.startTime}.tmp`
}

/** Who writes to a file of this name; undefined for what `tmpName` did not make. */
export function ownerOfTmp(tmp: string): ProcessIdentity | undefined {
  const match = TMP_NAME.exec(tmp)
  if (match?.[1] === undefined || match[2] === undefined) return undefined
  return { pid: Number(match[1]), startTime: match[2] }
}
