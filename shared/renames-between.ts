import { renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { CountersinkError, hasCode, toError } from './errors.ts'

/**
 * Files are renamed between these two directories, which does not cross filesystems or mounts. It is
 * tried, with a name that nobody has: the kernel compares the mounts before it looks for the name, and
 * a full disk does not matter. That both are of one device would not tell: a directory of the same
 * filesystem may be mounted on another.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT
 */
export function requireRenamesBetween(one: string, other: string): void {
  const trouble = renameTrouble(one, other)
  if (trouble === undefined) return
  throw new CountersinkError('STATE_DIRECTORY_UNFIT', `${one} and ${other} ${trouble}`, {
    advice: 'Mount the whole state directory, or nothing below it.',
  })
}

/** Why files cannot be renamed between them; undefined: they can. */
export function renameTrouble(one: string, other: string): string | undefined {
  if (statSync(one).dev !== statSync(other).dev) return 'are on two filesystems'
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    try {
      renameSync(join(from, NOBODYS_NAME), join(to, NOBODYS_NAME))
    } catch (error) {
      if (hasCode(error, 'ENOENT')) continue
      if (hasCode(error, 'EXDEV')) {
        return 'are two mounts (perhaps of one filesystem), and no file can be renamed between them'
      }
      return `do not let files be renamed between them: ${toError(error).message}`
    }
  }
  return undefined
}

const NOBODYS_NAME = '.countersink-trial'
