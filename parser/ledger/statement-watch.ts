/**
 * Watches one session while an action works on it: a statement whose answer does not come is asked
 * about on a second connection. A proxy, a firewall or a hung server can swallow everything without
 * closing anything, which TCP's keepalive does not see when something in between answers it.
 *
 * - The server says what our thread does (it waits for a lock, it works): that is told, with its age,
 *   and waited for, however long it takes.
 * - The server does not know our thread, or says that it has nothing to do: the answer was lost. The
 *   session is given up.
 * - No second connection can be made either, in spite of its time-outs: the database is away. The
 *   session is given up.
 * - Another server answers, or the account may have no second connection: nothing is known; given up
 *   after `UNKNOWN_MS_MAX`.
 *
 * Giving up destroys the connection; whoever waits for it asks the ledger on a new one.
 */

import type { LongStatement } from '../../shared/events.ts'
import { Session } from './connection.ts'
import { hasNoneLeft, judgeSqlError } from './sql-errors.ts'

export interface StatementWatch {
  stop(): void
}

const SILENT_MS_MAX = 15_000
const LOOK_INTERVAL_MS = 1_000
const PROBE_INTERVAL_MS = 5_000
/** Ended threads are asked about twice: an answer may just be on its way. */
const LOST_PROBES_MIN = 2
const UNKNOWN_MS_MAX = 300_000

type Finding =
  | { readonly kind: 'works'; readonly state: string }
  | { readonly kind: 'lost' | 'away' | 'unknown'; readonly why: string }

export function watchStatements(
  session: Session,
  told: (statement: LongStatement | undefined) => void,
): StatementWatch {
  let probing = false
  let nextProbeMs = 0
  let lostProbes = 0
  let isTold = false
  const tell = (waitsFor: string): void => {
    isTold = true
    told({ ageSeconds: Math.round(session.waitingMs / 1_000), waitsFor })
  }
  const look = async (): Promise<void> => {
    if (session.waitingMs < SILENT_MS_MAX) {
      lostProbes = 0
      if (isTold) told(undefined)
      isTold = false
      return
    }
    if (probing || performance.now() < nextProbeMs) return
    probing = true
    const found = await probe(session)
    probing = false
    nextProbeMs = performance.now() + PROBE_INTERVAL_MS
    if (session.waitingMs < SILENT_MS_MAX) return
    if (found.kind === 'works') {
      lostProbes = 0
      tell(found.state)
      return
    }
    tell(found.why)
    lostProbes += found.kind === 'lost' ? 1 : 0
    const isOver =
      found.kind === 'away' ||
      lostProbes >= LOST_PROBES_MIN ||
      (found.kind === 'unknown' && session.waitingMs > UNKNOWN_MS_MAX)
    if (isOver) session.destroy()
  }
  const timer = setInterval(() => void look(), LOOK_INTERVAL_MS)
  return {
    stop() {
      clearInterval(timer)
      if (isTold) told(undefined)
    },
  }
}

async function probe({ address, serverThread: of }: Session): Promise<Finding> {
  let second: Session
  try {
    second = await Session.open(address)
  } catch (error) {
    // The server answered, though it did not let us in.
    return judgeSqlError(error) === undefined || hasNoneLeft(error)
      ? { kind: 'unknown', why: 'a second connection to ask what it does is refused' }
      : { kind: 'away', why: 'MariaDB does not answer' }
  }
  try {
    if (second.serverThread.server !== of.server) {
      return { kind: 'unknown', why: 'another server answers a second connection' }
    }
    const [thread] = await withTimeout(
      second,
      second.query<{ command: string; state: string | null }>(
        'SELECT command, state FROM information_schema.processlist WHERE id = ?',
        [of.thread],
      ),
    )
    if (thread === undefined) return { kind: 'lost', why: 'MariaDB has ended our connection' }
    if (/^(Sleep|Killed)$/i.test(thread.command)) {
      return { kind: 'lost', why: 'MariaDB has answered, but the answer did not come' }
    }
    return { kind: 'works', state: thread.state || thread.command }
  } catch {
    return { kind: 'away', why: 'MariaDB does not answer' }
  } finally {
    second.destroy()
  }
}

const PROBE_ANSWER_MS_MAX = 5_000

/** The session is destroyed, and the answer rejects, when it takes too long. */
async function withTimeout<T>(session: Session, answer: Promise<T>): Promise<T> {
  const timer = setTimeout(() => session.destroy(), PROBE_ANSWER_MS_MAX)
  try {
    return await answer
  } finally {
    clearTimeout(timer)
  }
}
