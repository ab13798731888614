/**
 * What runs in a state directory, the queue, the database and counts, as `status --json` tells it: from the
 * parser, or from its journal while that is at rest.
 */

import { readJournal } from '../../parser/journal/index.ts'
import { hasCode, toError } from '../../shared/errors.ts'
import { processActivity } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type {
  Counts,
  GeneratorHealth,
  Health,
  HeldFiles,
  ParserHealth,
  ServingHealth,
} from '../../shared/protocol.ts'
import { PRIVATE_DATABASE, readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { type ProcessReport, readSupervisor, type SupervisorStatus } from '../state/index.ts'
import { reach, type Silence } from '../terminal/index.ts'

export type Picture = Awaited<ReturnType<typeof statusPicture>>

/** @param kindInEnvironment of the database, where none is remembered. */
export async function statusPicture(paths: StatePaths, kindInEnvironment: 'private' | 'yours') {
  const remembered = await rememberedDatabase(paths)
  const supervisor = await readSupervisor(paths)
  const [parser, generator] = await Promise.all([
    healthOf<ParserHealth>(paths, 'parser'),
    healthOf<GeneratorHealth>(paths, 'generator'),
  ])
  const live = 'role' in parser ? parser : undefined
  const journal = live === undefined ? await fromJournal(paths) : undefined
  const down = typeof journal === 'object' ? journal : undefined
  return {
    answeredBy: live !== undefined ? ('parser' as const) : down ? ('journal' as const) : null,
    journal: typeof journal === 'string' ? journal : null,
    supervisor: supervisorPicture(supervisor),
    parser: processPicture(parser, supervisor?.parser),
    generator: {
      ...processPicture(generator, supervisor?.generator),
      ...('role' in generator
        ? {
            connected: generator.connected,
            unsettled: generator.unsettled,
            published: generator.sinceStart.files,
          }
        : {}),
    },
    ...(supervisor?.serving === undefined
      ? {}
      : {
          serving: servingPicture(
            await healthOf<ServingHealth>(paths, 'serving'),
            supervisor.serving,
          ),
        }),
    queue: live?.queue ?? down?.queue ?? null,
    reading: live?.reading ?? null,
    database: {
      kind:
        remembered === null
          ? kindInEnvironment
          : remembered === PRIVATE_DATABASE
            ? 'private'
            : 'yours',
      remembered,
      state: live?.database ?? (supervisor?.mariadb?.pid ? 'running' : 'unknown'),
      ...(live?.databaseReason === undefined ? {} : { reason: live.databaseReason }),
      ...(live?.databaseHost === undefined ? {} : { host: live.databaseHost }),
      ...(live?.statement === undefined ? {} : { statement: live.statement }),
      ...mariadbPicture(supervisor),
    },
    sinceStart: live?.sinceStart ?? null,
    ever: live?.ever ?? down?.ever ?? null,
    sameNames: live === undefined ? null : (live.sameNames ?? { files: 0, newest: [] }),
    grewAfterwards: live === undefined ? null : (live.grewAfterwards ?? { files: 0, newest: [] }),
    leftInInbox: live === undefined ? null : (live.leftInInbox ?? { files: 0, reasons: [] }),
    inboxAway: live?.inboxAway ?? null,
    held: live === undefined ? null : heldPicture(live.held),
    orders: live === undefined ? null : (live.orders ?? { orders: 0, first: [] }),
    usage: live?.usage ?? null,
    unmoved: live === undefined ? null : (live.unmoved ?? { files: 0, first: [] }),
    lastProgressAt: live === undefined ? null : new Date(live.lastProgressAtMs).toISOString(),
  }
}

function heldPicture(held: HeldFiles | undefined) {
  const first = (held?.first ?? []).map(({ name, sha256, sinceMs }) => ({
    ...{ name, sha256, since: new Date(sinceMs).toISOString() },
  }))
  return { files: held?.files ?? 0, first }
}

/** The service's database, without its password; null when none was ever used here. */
async function rememberedDatabase(paths: StatePaths): Promise<string | null> {
  try {
    return (await readRememberedLedger(paths.rememberedLedger))?.database ?? null
  } catch (error) {
    if (hasCode(error, 'STATE_DIRECTORY_UNFIT')) return `unknown: ${toError(error).message}`
    throw error
  }
}

async function healthOf<H extends Health>(
  paths: StatePaths,
  name: H['role'],
): Promise<H | Silence> {
  const reached = await reach(paths, name)
  if ('silentBecause' in reached) return reached
  reached.channel.close()
  return reached.health as H
}

/** `in use`: a parser is just starting or ending, or hangs, and has it open. */
async function fromJournal(paths: StatePaths) {
  try {
    const found = await readJournal(paths.journal, (view, state) => {
      const queue = { files: 0, bytes: 0 }
      for (const entry of view.queuedFrom(0, Number.MAX_SAFE_INTEGER)) {
        if (entry.stage === 'settling') continue
        queue.files += 1
        queue.bytes += entry.sizeBytes
      }
      const { applied, duplicate, quarantined, reverted, held, bytes, lines, rejectedLines } = state
      const settled = { applied, duplicate, quarantined, reverted, held }
      return { queue, ever: { ...settled, bytes, lines, rejectedLines } satisfies Counts }
    })
    return found ?? ('missing' as const)
  } catch (error) {
    if (hasCode(error, 'JOURNAL_IN_USE')) return 'in use' as const
    throw error
  }
}

function supervisorPicture(supervisor: SupervisorStatus | undefined) {
  if (supervisor === undefined) return { state: 'stopped', pid: null, uptimeSeconds: null }
  const { state, pid, startedAtMs } = supervisor
  const frozen = processActivity(pid)?.isStopped
    ? {
        reason: `stopped by a signal, so that nothing is kept alive; "kill -CONT ${pid}" lets it go on`,
      }
    : {}
  return { state, pid, uptimeSeconds: secondsSince(startedAtMs), ...frozen }
}

function processPicture(health: Health | Silence, report: ProcessReport | undefined) {
  const alive = 'role' in health ? health : undefined
  const silence = 'role' in health || !health.isThere ? undefined : health
  // The supervisor may be about to hear of it.
  const isGone = alive === undefined && silence === undefined && report?.state === 'running'
  const reason = alive?.reason ?? (isGone ? 'it is not there any more' : silence?.silentBecause)
  return {
    state:
      alive?.state ??
      (silence?.listens ? 'silent' : isGone ? 'ended' : (report?.state ?? 'stopped')),
    pid: alive?.pid ?? report?.pid ?? null,
    uptimeSeconds: alive?.uptimeSeconds ?? null,
    restarts: report?.restarts ?? 0,
    ...(reason === undefined ? {} : { reason }),
    ...(alive === undefined
      ? {}
      : { eventLoopDelayMs: Math.round(alive.eventLoopDelayMs * 10) / 10 }),
  }
}

function servingPicture(health: ServingHealth | Silence, report: ProcessReport) {
  const address = 'role' in health ? health.address : undefined
  return { ...processPicture(health, report), ...(address === undefined ? {} : { address }) }
}

function mariadbPicture(supervisor: SupervisorStatus | undefined): MariadbPicture {
  if (supervisor?.mariadb === undefined) return {}
  const { pid, restarts, memoryBytes } = supervisor.mariadb
  return { pid: pid ?? null, restarts, ...(memoryBytes === undefined ? {} : { memoryBytes }) }
}

interface MariadbPicture {
  readonly pid?: number | null
  readonly restarts?: number
  readonly memoryBytes?: { readonly pool: number; readonly log: number }
}

function secondsSince(ms: number): number {
  return Math.round((Date.now() - ms) / 1_000)
}
