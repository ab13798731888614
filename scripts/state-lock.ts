import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeDirectories } from '../shared/durable.ts'
import { CountersinkError } from '../shared/errors.ts'
import { type KernelLock, tryKernelLock } from '../shared/kernel-lock.ts'

/**
 * One supervisor per state directory; also held by a command that starts the private server.
 *
 * @throws CountersinkError STATE_DIRECTORY_IN_USE, STATE_DIRECTORY_UNFIT
 */
export async function takeStateLock(lockPath: string, statusPath: string): Promise<KernelLock> {
  await makeDirectories(dirname(lockPath))
  const lock = await tryKernelLock(lockPath, 'exclusive')
  if (lock === undefined) throw await inUse(lockPath, statusPath)
  return lock
}

async function inUse(lockPath: string, statusPath: string): Promise<CountersinkError> {
  const owner = await readFile(statusPath, 'utf8')
    .then(text => {
      const pid: unknown = JSON.parse(text)?.pid
      return typeof pid === 'number' ? ` (pid ${pid})` : ''
    })
    // Whoever holds it has not written it yet, or is a command that never does.
    .catch(() => '')
  return new CountersinkError(
    'STATE_DIRECTORY_IN_USE',
    `a countersink is at work in ${dirname(dirname(lockPath))} already${owner}`,
    { advice: 'Stop it first, or choose another directory with --dir.' },
  )
}
