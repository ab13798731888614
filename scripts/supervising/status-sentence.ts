/**
 * How the service is, in one line for whoever looks at it from outside: first what waits, then the
 * queue, and what was done since the start.
 */

import { formatBytes, formatCount } from '../../shared/numbers.ts'
import { printable } from '../../shared/printable.ts'
import type { ParserHealth } from '../../shared/protocol.ts'
import type { ProcessReport, SupervisorState } from '../state/index.ts'
import { whyNotReady } from '../terminal/index.ts'

/** More than a screen's line, and well within a datagram. */
const CHARACTERS_MAX = 500

/** What the supervisor knows. */
interface Picture {
  readonly state: SupervisorState
  /** Nothing that it keeps hangs. */
  readonly isAlive: boolean
  /** As they last said; undefined: not since they were started. */
  readonly health: { readonly parser: ParserHealth | undefined }
  readonly status: { readonly parser: ProcessReport | undefined }
}

export function statusSentence(picture: Picture): string {
  const sentence = printable(sentenceOf(picture))
  return sentence.length <= CHARACTERS_MAX ? sentence : `${sentence.slice(0, CHARACTERS_MAX - 1)}…`
}

function sentenceOf({ state, isAlive, health: { parser }, status }: Picture): string {
  if (state !== 'running' && state !== 'draining') return state
  if (parser === undefined) return `the parser is ${status.parser?.state ?? 'not there'}`
  const waits = waitsOf(parser)
  if (!isAlive) waits.unshift('a process answers nothing and does nothing')
  const { queue, sinceStart } = parser
  const counts = (['applied', 'duplicate', 'quarantined'] as const).map(
    outcome => `${formatCount(sinceStart[outcome])} ${outcome}`,
  )
  return [
    waits.join('; ') || state,
    `queue ${formatCount(queue.files)} files, ${formatBytes(queue.bytes)}`,
    `since start ${counts.join(', ')}`,
  ].join('; ')
}

/** All of it, as `status` has it, but for what changes by itself: how long it has waited. */
function waitsOf(health: ParserHealth): string[] {
  const { statement, inboxAway, blockedBatch, leftInInbox, unmoved } = health
  const waits = [
    whyNotReady(health),
    statement && `a statement waits: ${statement.waitsFor}`,
    inboxAway && `the inbox is away: ${inboxAway}`,
    blockedBatch,
    leftInInbox && `${formatCount(leftInInbox.files)} left in the inbox`,
    unmoved && `${formatCount(unmoved.files)} cannot leave work/`,
  ]
  return waits.filter(wait => wait !== undefined)
}
