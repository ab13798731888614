/**
 * A lock of the kernel's (flock(2)) on an open file. Node has no call for it, so the program `flock`
 * (util-linux's or BusyBox's) takes it on a descriptor that it inherits: the lock belongs to the open
 * file, not to that program, and the kernel frees it when this process ends, in whatever way. A pid
 * file could not do that.
 *
 * - **shared**: any number of holders, as long as nobody has it exclusively.
 * - **exclusive**: one holder.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs'
import { CountersinkError, hasCode } from './errors.ts'

export interface KernelLock {
  /**
   * Whether the file of this name is still the one that is locked. One that was removed or replaced
   * keeps nobody out: whoever comes next locks another.
   */
  isInPlace(): boolean
  release(): void
}

/**
 * Takes the lock, or says at once that somebody else has it (undefined). The file is created if it is
 * missing; its content is nobody's business here.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when there is no `flock`, or it cannot lock this file.
 */
export async function tryKernelLock(
  path: string,
  mode: 'shared' | 'exclusive',
): Promise<KernelLock | undefined> {
  const fd = openLockFile(path)
  try {
    const { status, said } = await runFlock(fd, mode)
    if (status === 0) return { isInPlace: () => isOpenAs(fd, path), release: () => closeSync(fd) }
    if (status !== TAKEN || said !== '') throw unfit(path, said || `status ${status}`)
    closeSync(fd)
    return undefined
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** What both kinds of `flock -n` end with when somebody else has the lock; they say nothing then. */
const TAKEN = 1

function isOpenAs(fd: number, path: string): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false })
  const ours = fstatSync(fd)
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev
}

function openLockFile(path: string): number {
  try {
    // Never written, and closed in every program that this process starts.
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  } catch (cause) {
    throw new CountersinkError('STATE_DIRECTORY_UNFIT', `${path} cannot be opened to lock it`, {
      advice:
        'It must be a file of this user or nothing yet, in a directory that this user may write to.',
      cause,
    })
  }
}

async function runFlock(fd: number, mode: 'shared' | 'exclusive') {
  const flock = spawn('flock', ['-n', mode === 'shared' ? '-s' : '-x', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
  })
  let said = ''
  flock.stderr?.setEncoding('utf8').on('data', text => {
    said += text
  })
  try {
    const [status] = (await once(flock, 'close')) as [number | null]
    return { status, said: said.trim().split('\n')[0] ?? '' }
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT')) throw cause
    throw new CountersinkError('STATE_DIRECTORY_UNFIT', 'the program flock is missing', {
      advice: 'Install util-linux.',
      cause,
    })
  }
}

function unfit(path: string, why: string): CountersinkError {
  return new CountersinkError('STATE_DIRECTORY_UNFIT', `locking ${path} failed: ${why}`, {
    advice:
      'The state directory must be on a local filesystem, and flock must be util-linux’s or BusyBox’s.',
  })
}
