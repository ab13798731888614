import { constants } from 'node:fs'
import { type FileHandle, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeDirectories } from '../../shared/durable.ts'
import { CountersinkError, describeError } from '../../shared/errors.ts'

/**
 * Opened here for the server to write to, so that what it says before it reads its options is kept. A
 * log that cannot be written is said, and no reason to go without a database.
 */
export async function openLog(path: string, onNotice: (text: string) => void): Promise<FileHandle> {
  const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants
  try {
    await makeDirectories(dirname(path))
    const size = await stat(path).then(
      stats => stats.size,
      () => 0,
    )
    if (size > LOG_BYTES_MAX) await rename(path, `${path}.old`)
    const log = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
    if ((await log.stat()).isFile()) return log
    // The server would wait at a FIFO that nobody reads.
    await log.close()
    throw new Error('it is not a regular file')
  } catch (error) {
    onNotice(`${path} cannot be written, and what MariaDB says is lost: ${describeError(error)}`)
    return await open('/dev/null', 'r+')
  }
}

export async function readFrom(log: FileHandle, start: number): Promise<string> {
  const { size } = await log.stat()
  const length = Math.min(size - start, LOG_TAIL_BYTES)
  const { buffer, bytesRead } = await log.read(Buffer.alloc(length), 0, length, size - length)
  return buffer.toString('utf8', 0, bytesRead).trim()
}

export function withLogTail(error: unknown, tail: string, logPath: string): unknown {
  if (!(error instanceof CountersinkError)) return error
  const said = tail === '' ? 'and said nothing' : `and said:\n${tail}`
  return new CountersinkError(error.code, `${error.message} ${said}`, {
    cause: error.cause,
    advice: `Its whole log is ${logPath}.`,
  })
}

const LOG_BYTES_MAX = 8 * 1024 * 1024
const LOG_TAIL_BYTES = 4_096
