/**
 * Who may open the journal. A second process that opens a living LMDB environment, even to read, can
 * make its owner lose commits that were reported durable (every opener sets the shared number of the
 * newest transaction to what it has just read; lmdb-js 3.5.6, liblmdb/mdb.c). So the journal is open
 * in one process at a time: its owner has the lock beside it exclusively, readers share it while no
 * owner lives.
 *
 * The later parser wins, as a supervisor must be able to replace one that hangs. The lock's file lists
 * who owns the journal and who wants to, a line each: a newcomer adds itself, asks all before it to
 * end (SIGTERM), and kills those that have not after `GRACE_MS`. Killing a parser is safe at every
 * instant. Whoever waits behind a command that reads just waits.
 */

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { Bell } from '../../shared/handoff.ts'
import { type KernelLock, tryKernelLock } from '../../shared/kernel-lock.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'

export interface JournalLock {
  /**
   * Looks once a second whether the lock still keeps others out: somebody may remove its file, or put
   * another in its place. That one is locked as well then.
   *
   * @throws CountersinkError OWNERSHIP_LOST when another process has come in meanwhile; JOURNAL_FAILED
   *   when it cannot be locked again, as its directory is gone: a new start makes it, or says why not.
   */
  mind(signal: AbortSignal, log: Log): Promise<void>
  /** Whether a later parser wants the journal, or has it. */
  isWanted(): boolean
  release(): void
}

const GRACE_MS = 2_000
const WAIT_MS_MAX = 30_000
const POLL_MS = 25
const MIND_INTERVAL_MS = 1_000

/** One for all journals of a directory: also for those that a recovery has put aside. */
function journalLockPath(journalPath: string): string {
  return join(dirname(journalPath), 'journal.lock')
}

/**
 * Becomes the journal's only user.
 *
 * @throws CountersinkError JOURNAL_FAILED when somebody holds it who can be neither asked nor killed.
 */
export async function ownJournal(journalPath: string, log: Log): Promise<JournalLock> {
  const path = journalLockPath(journalPath)
  const me = processIdentity(process.pid)!
  appendFileSync(path, line(me))
  let lock = (await tryKernelLock(path, 'exclusive')) ?? (await takeOver(path, me, log))
  // Whoever came before us is over; whoever came after stays listed, and asks us to end.
  const all = listed(path)
  writeFileSync(path, all.slice(indexOf(all, me)).map(line).join(''))
  return {
    async mind(signal, log) {
      const untilStopped = new Bell()
      while (!signal.aborted) {
        await untilStopped.wait(signal, MIND_INTERVAL_MS)
        if (signal.aborted || lock.isInPlace()) continue
        const next = await lockAgain(path, me)
        if (next === undefined) throw lostTo(path)
        lock.release()
        lock = next
        log.warn('the lock of the journal was removed or replaced; it is locked again')
      }
    },
    isWanted: () => (listed(path).at(-1)?.pid ?? me.pid) !== me.pid,
    release: () => lock.release(),
  }
}

/** The lock for a short reading, or undefined while a parser lives. */
export function readerLock(journalPath: string): Promise<KernelLock | undefined> {
  return tryKernelLock(journalLockPath(journalPath), 'shared')
}

async function lockAgain(path: string, me: ProcessIdentity): Promise<KernelLock | undefined> {
  try {
    const lock = await tryKernelLock(path, 'exclusive')
    if (lock !== undefined) appendFileSync(path, line(me))
    return lock
  } catch (cause) {
    throw new CountersinkError('JOURNAL_FAILED', `${path} is gone and cannot be made again`, {
      advice: 'Leave the files in the state directory alone while a parser runs.',
      cause,
    })
  }
}

async function takeOver(path: string, me: ProcessIdentity, log: Log): Promise<KernelLock> {
  const startedMs = performance.now()
  const asked = new Set<number>()
  for (;;) {
    const waitedMs = performance.now() - startedMs
    const all = listed(path)
    for (const other of all.slice(0, indexOf(all, me)).filter(isAlive)) {
      if (!asked.has(other.pid)) {
        log.warn('another parser works on this journal; it is asked to end', { pid: other.pid })
        signal(other, 'SIGTERM')
        asked.add(other.pid)
      } else if (waitedMs > GRACE_MS) {
        signal(other, 'SIGKILL')
      }
    }
    const lock = await tryKernelLock(path, 'exclusive')
    if (lock !== undefined) return lock
    if (waitedMs > WAIT_MS_MAX) {
      throw new CountersinkError(
        'JOURNAL_FAILED',
        `another process has held ${path} for ${WAIT_MS_MAX / 1_000} s and cannot be ended from here`,
        { advice: 'Find it with "fuser" or "lslocks" and end it.' },
      )
    }
    await sleep(POLL_MS)
  }
}

function lostTo(path: string): CountersinkError {
  return new CountersinkError(
    'OWNERSHIP_LOST',
    `${path} was removed or replaced, and another process has locked it since`,
    { advice: 'Leave the files in the state directory alone. Run one parser per state directory.' },
  )
}

function signal({ pid }: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // It has ended by itself meanwhile, or is another user's: the lock tells which.
    if (!hasCode(error, 'ESRCH', 'EPERM')) throw error
  }
}

function line(identity: ProcessIdentity): string {
  return `${identity.pid} ${identity.startTime}\n`
}

function listed(path: string): ProcessIdentity[] {
  return [...readIfThere(path).matchAll(/^(\d+) (\d+)$/gm)].map(([, pid = '', startTime = '']) => ({
    pid: Number(pid),
    startTime,
  }))
}

/** Nobody is listed in a file that was removed. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return ''
    throw error
  }
}

function indexOf(list: readonly ProcessIdentity[], { pid, startTime }: ProcessIdentity): number {
  return list.findIndex(one => one.pid === pid && one.startTime === startTime)
}
