import { readJournal } from '../../parser/journal/index.ts'
import { hasCode, toError } from '../../shared/errors.ts'
import { processActivity } from '../../shared/lifecycle.ts'
import { formatBytes, formatCount, formatCountOf, formatDuration } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import type {
  Counts,
  GeneratorHealth,
  GrewAfterwards,
  Health,
  HeldFiles,
  LeftInInbox,
  ParserHealth,
  SameNames,
  UnmovedFiles,
  WaitingOrders,
} from '../../shared/protocol.ts'
import { PRIVATE_DATABASE, readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { command, one } from '../command-table/index.ts'
import { type ProcessReport, readSupervisor, type SupervisorStatus } from '../state/index.ts'
import {
  columnsOf,
  EXIT,
  environment,
  labelled,
  linesText,
  print,
  reach,
  type Silence,
  timeText,
  wrapText,
} from '../terminal/index.ts'
import { PICTURE_SHAPE } from './status-shape.ts'

export const status = command({
  name: 'status',
  summary: 'show what runs, the queue, the file being read, the database, and counts',
  about: `Shows what runs and what it waits for, the queue, the file that is being read, the database, counts, what is
left in the inbox and why, names that came again, files that are held, and files that changed after they were
counted.`,
  options: {},
  exits: { 0: 'shown, whatever there is to show' },
  examples: [{ line: 'countersink status --json', what: 'for a monitor' }],
  answer: one(PICTURE_SHAPE),
  async run({ values, answer }) {
    const { paths, config } = environment(values.dir)
    const picture = await look(paths, config.databaseUrl === '' ? 'private' : 'yours')
    if (values.json) await answer(picture)
    else await print(text(picture))
    return EXIT.ok
  },
})

type Picture = Awaited<ReturnType<typeof look>>

async function look(paths: StatePaths, kindInEnvironment: 'private' | 'yours') {
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
  name: 'parser' | 'generator',
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

function text(p: Picture): string {
  const lines: [string, string][] = [
    ['supervisor', processText(p.supervisor)],
    ['generator', processText(p.generator)],
    ['parser', processText(p.parser)],
    ['database', databaseText(p.database)],
    [
      'queue',
      p.queue === null
        ? 'unknown'
        : `${formatCountOf(p.queue.files, 'file')}, ${formatBytes(p.queue.bytes)}`,
    ],
  ]
  if (p.reading !== null) {
    const { name, positionBytes, sizeBytes, resumedFromBytes } = p.reading
    const resumed =
      resumedFromBytes > 0 ? `, resumed from a checkpoint at ${formatBytes(resumedFromBytes)}` : ''
    lines.push([
      'reading',
      `${name}, ${formatBytes(positionBytes)} of ${formatBytes(sizeBytes)}${resumed}`,
    ])
  }
  if (p.sinceStart !== null) lines.push(['since start', countsText(p.sinceStart)])
  if (p.ever !== null) lines.push(['ever', countsText(p.ever)])
  if (p.sameNames !== null && p.sameNames.files > 0) {
    lines.push(['same name', sameNamesText(p.sameNames)])
  }
  if (p.grewAfterwards !== null && p.grewAfterwards.files > 0) {
    lines.push(['grew', grewText(p.grewAfterwards)])
  }
  if (p.inboxAway !== null) lines.push(['inbox', `away: ${p.inboxAway}`])
  if (p.leftInInbox !== null && p.leftInInbox.files > 0) {
    lines.push(['inbox', leftText(p.leftInInbox)])
  }
  if (p.held !== null && p.held.files > 0) lines.push(['held', heldText(p.held)])
  if (p.orders !== null && p.orders.orders > 0) lines.push(['orders', ordersText(p.orders)])
  if (p.unmoved !== null && p.unmoved.files > 0) lines.push(['work', unmovedText(p.unmoved)])
  const note =
    p.answeredBy === 'parser'
      ? ''
      : p.answeredBy === 'journal'
        ? '(the parser does not answer; the queue and the counts are from its journal)\n'
        : p.journal === 'missing'
          ? '(there is no journal: no parser has worked here yet)\n'
          : '(the parser does not answer, and the journal is locked by whoever has it open)\n'
  const room = columnsOf(process.stdout) - LABEL_WIDTH
  const rows = lines.flatMap(([label, value]) =>
    labelled(label.padEnd(LABEL_WIDTH), wrapText(value, room)),
  )
  return `${rows.join('\n')}\n${note}`
}

const LABEL_WIDTH = 12

function databaseText(database: Picture['database']): string {
  const { state, kind, remembered, host } = database
  const name = remembered === null || remembered === PRIVATE_DATABASE ? '' : `, ${remembered}`
  const memory =
    database.memoryBytes === undefined
      ? ''
      : `, pool ${formatBytes(database.memoryBytes.pool)}, log ${formatBytes(database.memoryBytes.log)}`
  const on = host === undefined ? '' : `, on ${host}`
  return `${state} (${kind}${name}${on}${memory})${because(databaseReason(database))}`
}

function processText(p: {
  state: string
  pid: number | null
  uptimeSeconds: number | null
  restarts?: number
  reason?: string
}): string {
  const parts = [p.state]
  if (p.pid !== null) parts.push(`pid ${p.pid}`)
  if (p.uptimeSeconds !== null) parts.push(`up ${formatDuration(p.uptimeSeconds * 1_000)}`)
  if (p.restarts) parts.push(formatCountOf(p.restarts, 'restart'))
  return parts.join(', ') + because(p.reason)
}

function databaseReason(database: Picture['database']): string | undefined {
  const { reason, statement } = database
  if (statement === undefined) return reason
  return `a statement has waited for ${statement.ageSeconds} s: ${statement.waitsFor}`
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`
}

function sameNamesText({ files, newest }: SameNames): string {
  const names = newest.map(({ name, contents }) => `${name} (${contents} contents)`).join(', ')
  return `${formatCount(files)} came with other content than before, and all are counted: ${names}${files > newest.length ? ', …' : ''}`
}

function seldom(files: number, outcome: string): string {
  return files > 0 ? `, ${formatCount(files)} ${outcome}` : ''
}

function countsText(counts: Counts): string {
  return `${formatCount(counts.applied)} applied, ${formatCount(counts.duplicate)} duplicate, ${formatCount(counts.quarantined)} quarantined${seldom(counts.reverted, 'reverted')}${seldom(counts.held, 'held')}; ${formatBytes(counts.bytes)}, ${linesText(counts)}`
}

function grewText({ files, newest }: GrewAfterwards): string {
  const names = newest.map(({ name, change }) => `${name} (${change})`).join('; ')
  const others = files > newest.length ? '; and others' : ''
  return `${formatCount(files)} changed after they were counted, and what came later is in no total: ${names}${others}`
}

function leftText({ files, reasons }: LeftInInbox): string {
  const shown = reasons.map(reason => {
    const names = reason.names.map(name => JSON.stringify(name)).join(', ')
    const others = reason.files > reason.names.length ? ', …' : ''
    return `${formatCount(reason.files)} because ${reason.why}: ${names}${others}`
  })
  const more = files - reasons.reduce((sum, reason) => sum + reason.files, 0)
  if (more > 0) shown.push(`${formatCount(more)} for other reasons`)
  return `left in the inbox: ${formatCount(files)} (${shown.join('; ')})`
}

function heldText({ files, first }: NonNullable<Picture['held']>): string {
  const names = first
    .map(({ name, sha256, since }) => {
      return `${quotedName(name)} (${sha256.slice(0, 12)}, since ${timeText(Date.parse(since))} UTC)`
    })
    .join('; ')
  const others = files > first.length ? '; and others' : ''
  return `${formatCount(files)} held until "countersink release" or "countersink refuse": ${names}${others}`
}

function ordersText({ orders, first }: WaitingOrders): string {
  const named = first.map(({ kind, why }) => `${kind}: ${why}`).join('; ')
  const others = orders > first.length ? '; and others' : ''
  return `${formatCount(orders)} asked for, and waiting: ${named}${others}`
}

function unmovedText({ files, first }: UnmovedFiles): string {
  const names = first.map(({ name, why }) => `${JSON.stringify(name)} (${why})`).join('; ')
  const others = files > first.length ? '; and others' : ''
  return `${formatCount(files)} settled, but left in work/: ${names}${others}`
}
