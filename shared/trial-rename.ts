import { open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersinkError, hasCode, isDiskFull, systemReason } from './errors.ts'

const TRIAL = '.countersink-trial'

/**
 * Makes sure that files can be renamed from one of these directories to each of the others, and back,
 * by doing so with an empty one. Looking is not enough: two mounts of one filesystem, as containers
 * have them, look alike, and nothing can be renamed between them.
 *
 * A crash leaves an empty hidden file, which the next trial takes. On a full disk nothing is tried.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT naming both directories.
 */
export async function tryRenames(directory: string, ...others: readonly string[]): Promise<void> {
  const trial = join(directory, TRIAL)
  try {
    for (const other of others) {
      try {
        await (await open(trial, 'w', 0o600)).close()
        await rename(trial, join(other, TRIAL))
        await rename(join(other, TRIAL), trial)
      } catch (cause) {
        if (isDiskFull(cause)) return
        // Somebody who starts here at the same moment took it, so it could be renamed.
        if (hasCode(cause, 'ENOENT')) continue
        throw unfit(directory, other, cause)
      }
    }
  } finally {
    await rm(trial, { force: true })
  }
}

function unfit(directory: string, other: string, cause: unknown): CountersinkError {
  if (hasCode(cause, 'EXDEV')) {
    return new CountersinkError(
      'STATE_DIRECTORY_UNFIT',
      `${directory} and ${other} are on two filesystems, or one of them is a mount of its own: files cannot be renamed between them`,
      { advice: 'Mount the whole state directory, or nothing below it.', cause },
    )
  }
  return new CountersinkError(
    'STATE_DIRECTORY_UNFIT',
    `files cannot be renamed between ${directory} and ${other} (${systemReason(cause)})`,
    { advice: 'Both must be directories in which this user may make and remove files.' },
  )
}
