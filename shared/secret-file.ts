import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { CountersinkError, systemReason } from './errors.ts'
import { shellWord } from './printable.ts'

/** More than any configuration; a device or a log named by mistake is not read to its end. */
const BYTES_MAX = 2 ** 20

/**
 * A small regular file, whole: what a person has named as a configuration, or as what holds a secret.
 *
 * @param what it is named by, for the refusal
 * @throws CountersinkError CONFIG_INVALID when it cannot be read as one; what the system said is the
 * cause, so that a missing one can be told.
 */
export function readSmallFile(path: string, what: string): { text: string; stats: Stats } {
  let fd: number
  try {
    // Nobody may write into a FIFO; opening it must not wait for that.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw unreadable(path, what, systemReason(cause), cause)
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw unreadable(path, what, 'it is not a regular file')
    if (stats.size > BYTES_MAX) {
      throw unreadable(path, what, `it has ${stats.size} bytes, at most ${BYTES_MAX} are read`)
    }
    return { text: readFileSync(fd, 'utf8').replace(/^\ufeff/, ''), stats }
  } finally {
    closeSync(fd)
  }
}

/**
 * What a file of its own says, without the line end that editors add. Others may be able to read it, as
 * orchestrators leave it, within a container; whoever could write to it would choose our database.
 */
export function readSecretFile(path: string, what: string): string {
  const { text, stats } = readSmallFile(path, what)
  if ((stats.mode & 0o002) !== 0) {
    throw new CountersinkError(
      'CONFIG_INVALID',
      `${path} (${what}) has mode ${(stats.mode & 0o777).toString(8)}: everybody may write to it`,
      { advice: `chmod 600 ${shellWord(path)}.`, mend: [`chmod 600 ${shellWord(path)}`] },
    )
  }
  const secret = text.replace(/\r?\n$/, '')
  if (secret !== '') return secret
  throw unreadable(path, what, 'it is empty')
}

function unreadable(path: string, what: string, why: string, cause?: unknown): CountersinkError {
  return new CountersinkError('CONFIG_INVALID', `${path} (${what}) cannot be read: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    advice: `Name a file that this user (uid ${process.geteuid?.()}) may read.`,
  })
}
