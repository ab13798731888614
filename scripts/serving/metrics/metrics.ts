/**
 * What is exported, as a table. Totals and amounts are not among it: a sample is a float, and they are exact.
 * What nobody says now has no sample, so that a rule can tell "none" from "unknown".
 */

import {
  type GeneratorHealth,
  type ParserHealth,
  STAGE_BOUNDS_MS,
} from '../../../shared/protocol.ts'
import { programVersion } from '../../program-version.ts'
import type { ProcessReport } from '../../state/index.ts'
import type { Silence } from '../../terminal/index.ts'
import type { Snapshot } from '../snapshot.ts'
import type { Metric, Sample } from './sample.ts'

type Outcome = 'applied' | 'duplicate' | 'quarantined' | 'reverted' | 'held'
const OUTCOMES: readonly Outcome[] = ['applied', 'duplicate', 'quarantined', 'reverted', 'held']

export const METRICS: readonly Metric[] = [
  gauge('countersink_info', 'The version that exports this.', () => [
    { labels: { version: programVersion() }, value: 1 },
  ]),
  gauge('countersink_up', 'Whether a process runs and answers.', processesUp),
  counter(
    'countersink_restarts_total',
    'How often a process was started again since the supervisor was.',
    snapshot =>
      Object.entries(reportsOf(snapshot)).map(([process, { restarts }]) => {
        return { labels: { process }, value: restarts }
      }),
  ),
  counter(
    'countersink_files_total',
    'Files that came to an end, since the parser started.',
    of(({ sinceStart }) =>
      OUTCOMES.map(outcome => ({ labels: { outcome }, value: sinceStart[outcome] })),
    ),
  ),
  counter(
    'countersink_file_bytes_total',
    'Bytes of files that came to an end, since the parser started.',
    parserValue(({ sinceStart }) => sinceStart.bytes),
  ),
  counter(
    'countersink_lines_total',
    'Good lines of counted files, since the parser started.',
    parserValue(({ sinceStart }) => sinceStart.lines),
  ),
  counter(
    'countersink_rejected_lines_total',
    'Bad lines of counted files that were put aside, since the parser started.',
    parserValue(({ sinceStart }) => sinceStart.rejectedLines ?? 0),
  ),
  counter(
    'countersink_claimed_files_total',
    'Files taken from the inbox, since the parser started.',
    parserValue(({ done }) => done?.claimed),
  ),
  counter(
    'countersink_batches_total',
    'Batches counted, since the parser started.',
    parserValue(({ done }) => done?.batches),
  ),
  counter(
    'countersink_totals_changed_total',
    'Changes of single totals, since the parser started.',
    parserValue(({ done }) => done?.pairs),
  ),
  {
    name: 'countersink_stage_seconds',
    type: 'histogram',
    help: 'How long files were in each stage: queued, read, waited, count, settle.',
    bounds: STAGE_BOUNDS_MS.map(ms => ms / 1_000),
    of: ({ parser }) =>
      (live(parser)?.done?.stages ?? []).map(({ stage, sumMs, buckets }) => {
        return { labels: { stage }, buckets, sum: sumMs / 1_000 }
      }),
  },
  gauge(
    'countersink_queue_files',
    'Files claimed and not yet settled.',
    parserValue(({ queue }) => queue.files),
  ),
  gauge(
    'countersink_queue_bytes',
    'Bytes of files claimed and not yet settled.',
    parserValue(({ queue }) => queue.bytes),
  ),
  gauge(
    'countersink_oldest_waiting_seconds',
    'How long the file that waits longest has been claimed; 0: none waits.',
    ({ parser, atMs }) => {
      const health = live(parser)
      if (health === undefined) return []
      return one(seconds(Math.max(0, atMs - (health.oldestClaimedAtMs ?? atMs))))
    },
  ),
  gauge(
    'countersink_last_progress_timestamp_seconds',
    'When work was last made durable.',
    parserValue(({ lastProgressAtMs }) => seconds(lastProgressAtMs)),
  ),
  gauge(
    'countersink_paused',
    'Whether nothing new is begun, for want of room, a directory or a fit database.',
    parserValue(({ state }) => flag(state === 'paused')),
  ),
  gauge(
    'countersink_database_up',
    'Whether the database can be written to.',
    parserValue(({ database }) => flag(database === 'ready')),
  ),
  gauge(
    'countersink_database_unfit',
    'Whether the database answers and is not as it must be.',
    parserValue(({ database }) => flag(database === 'unfit')),
  ),
  gauge(
    'countersink_statement_waiting_seconds',
    'For how long a statement has not been answered; 0: none.',
    parserValue(({ statement }) => statement?.ageSeconds ?? 0),
  ),
  gauge(
    'countersink_lease_held',
    'Whether this parser counts, or only records what another one counts.',
    parserValue(({ isCounter }) => (isCounter === undefined ? undefined : flag(isCounter))),
  ),
  gauge(
    'countersink_blocked_batch',
    'Whether a batch can go on only with the help of a person.',
    parserValue(({ blockedBatch }) => flag(blockedBatch !== undefined)),
  ),
  gauge(
    'countersink_inbox_left_files',
    'What stands in the inbox and is not taken.',
    parserValue(({ leftInInbox }) => leftInInbox?.files ?? 0),
  ),
  gauge(
    'countersink_inbox_away',
    'Whether the inbox cannot be looked into.',
    parserValue(({ inboxAway }) => flag(inboxAway !== undefined)),
  ),
  gauge(
    'countersink_held_files',
    'Files that wait until a person releases or refuses them.',
    parserValue(({ held }) => held?.files ?? 0),
  ),
  gauge(
    'countersink_waiting_orders',
    'What was asked for and cannot be carried out yet.',
    parserValue(({ orders }) => orders?.orders ?? 0),
  ),
  gauge(
    'countersink_unmoved_files',
    'Settled files that cannot leave work/.',
    parserValue(({ unmoved }) => unmoved?.files ?? 0),
  ),
  gauge(
    'countersink_grown_files',
    'Files that changed after they were counted, since the parser started.',
    parserValue(({ grewAfterwards }) => grewAfterwards?.files ?? 0),
  ),
  gauge(
    'countersink_usage_lag_seconds',
    'How long what is counted has waited to be rolled up; 0 when nothing waits.',
    parserValue(({ usage }) => usage?.ageSeconds ?? 0),
  ),
  gauge('countersink_disk_free_bytes', 'Free room for the state directory.', ({ room }) =>
    one(room?.freeBytes),
  ),
  gauge(
    'countersink_disk_reserve_bytes',
    'Room that is left alone: below it nothing new is begun.',
    ({ reserveBytes }) => one(reserveBytes),
  ),
  gauge('countersink_disk_free_inodes', 'Files that can be made there yet.', ({ room }) =>
    one(Number.isFinite(room?.freeInodes) ? room?.freeInodes : undefined),
  ),
  gauge('countersink_event_loop_delay_seconds', 'Mean delay of a process.', snapshot =>
    [live(snapshot.parser), live(snapshot.generator), snapshot.serving].flatMap(health => {
      if (health === undefined) return []
      return { labels: { process: health.role }, value: seconds(health.eventLoopDelayMs) }
    }),
  ),
  gauge(
    'countersink_verified_timestamp_seconds',
    'When it was last proved whether the totals add up.',
    ({ lastProof }) => one(lastProof && seconds(Date.parse(lastProof.at))),
  ),
  gauge(
    'countersink_verified_adds_up',
    'Whether they did; missing: never proved, or it could not be said.',
    ({ lastProof }) => {
      const addsUp = lastProof?.result.addsUp
      return one(typeof addsUp === 'boolean' ? flag(addsUp) : undefined)
    },
  ),
  counter(
    'countersink_http_requests_total',
    'Requests answered over HTTP, since that process started.',
    ({ serving }) => one(serving.requests),
  ),
]

function gauge(name: string, help: string, of: (snapshot: Snapshot) => readonly Sample[]): Metric {
  return { name, type: 'gauge', help, of }
}

function counter(
  name: string,
  help: string,
  of: (snapshot: Snapshot) => readonly Sample[],
): Metric {
  return { name, type: 'counter', help, of }
}

function of(tell: (health: ParserHealth) => readonly Sample[]) {
  return ({ parser }: Snapshot): readonly Sample[] => {
    const health = live(parser)
    return health === undefined ? [] : tell(health)
  }
}

function parserValue(tell: (health: ParserHealth) => number | undefined) {
  return of(health => one(tell(health)))
}

function one(value: number | undefined): readonly Sample[] {
  return value === undefined || Number.isNaN(value) ? [] : [{ value }]
}

function live<H extends ParserHealth | GeneratorHealth>(found: H | Silence): H | undefined {
  return 'role' in found ? found : undefined
}

function flag(is: boolean): number {
  return is ? 1 : 0
}

function seconds(ms: number): number {
  return ms / 1_000
}

function reportsOf({ supervisor }: Snapshot): Record<string, Pick<ProcessReport, 'restarts'>> {
  const { parser, generator, serving, mariadb } = supervisor ?? {}
  const all = Object.entries({ parser, generator, serving, mariadb })
  return Object.fromEntries(all.flatMap(([name, report]) => (report ? [[name, report]] : [])))
}

/** Of those that should be there; the parser always should. */
function processesUp({ supervisor, parser, generator }: Snapshot): Sample[] {
  const up = (process: string, is: boolean): Sample => ({ labels: { process }, value: flag(is) })
  return [
    up('supervisor', supervisor !== undefined),
    up('parser', live(parser) !== undefined),
    ...(supervisor?.withGenerator && supervisor.state !== 'draining'
      ? [up('generator', live(generator) !== undefined)]
      : []),
    ...(supervisor?.mariadb === undefined
      ? []
      : [up('mariadb', supervisor.mariadb.pid !== undefined)]),
    up('serving', true),
  ]
}
