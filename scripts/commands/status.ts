import { readJournal } from '../../parser/journal/reading.ts'
import { askOnce } from '../../shared/channel.ts'
import { hasCode, toError } from '../../shared/errors.ts'
import { formatBytes, formatCount, formatDuration } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type {
  Counts,
  GeneratorHealth,
  GrewAfterwards,
  Health,
  ParserHealth,
  SameNames,
} from '../../shared/protocol.ts'
import { PRIVATE_DATABASE, readRememberedLedger } from '../../shared/remembered-ledger.ts'
import { type Command, DIR_HELP, EXIT, environment, parseOptions } from '../cli.ts'
import { columnsOf, labelled, wrapText } from '../layout.ts'
import type { ProcessReport } from '../managed-process.ts'
import { print, readSupervisor } from '../sources.ts'
import type { SupervisorStatus } from '../supervisor.ts'

export const status: Command = {
  name: 'status',
  summary: 'show what runs, the queue, the file being read, the database, and counts',
  help: `
Usage: countersink status [--dir D] [--json]

${DIR_HELP}
  --json             one object; times are UTC ISO-8601
`,
  async run(args) {
    const { values } = parseOptions(args, { json: { type: 'boolean', default: false } })
    const { paths, config } = environment(values.dir)
    const picture = await look(paths, config.databaseUrl === '' ? 'private' : 'yours')
    await print(values.json ? `${JSON.stringify(picture)}\n` : text(picture))
    return EXIT.ok
  },
}

type Picture = Awaited<ReturnType<typeof look>>

async function look(paths: StatePaths, kindInEnvironment: 'private' | 'yours') {
  const remembered = await rememberedDatabase(paths)
  const supervisor = await readSupervisor(paths)
  const parser = (await healthOf(paths.parserSocket)) as ParserHealth | 'silent' | undefined
  const generator = (await healthOf(paths.generatorSocket)) as
    | GeneratorHealth
    | 'silent'
    | undefined
  // Somebody who listens has the journal open, whether it answers or not.
  const down = parser === undefined ? await fromJournal(paths) : undefined
  const live = typeof parser === 'object' ? parser : undefined
  return {
    answeredBy: live !== undefined ? ('parser' as const) : down ? ('journal' as const) : null,
    supervisor: {
      state: supervisor?.state ?? 'stopped',
      pid: supervisor?.pid ?? null,
      uptimeSeconds: supervisor === undefined ? null : secondsSince(supervisor.startedAtMs),
    },
    parser: processPicture(parser, supervisor?.parser),
    generator: {
      ...processPicture(generator, supervisor?.generator),
      ...(typeof generator === 'object'
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
      ...(live?.statement === undefined ? {} : { statement: live.statement }),
      ...mariadbPicture(supervisor),
    },
    sinceStart: live?.sinceStart ?? null,
    ever: live?.ever ?? down?.ever ?? null,
    sameNames: live === undefined ? null : (live.sameNames ?? { files: 0, newest: [] }),
    grewAfterwards: live === undefined ? null : (live.grewAfterwards ?? { files: 0, newest: [] }),
    lastProgressAt: live === undefined ? null : new Date(live.lastProgressAtMs).toISOString(),
  }
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

/** `silent`: somebody listens, but does not answer. */
async function healthOf(path: string): Promise<Health | 'silent' | undefined> {
  try {
    return await askOnce(path, async channel => {
      const { health } = await channel.request<'pong'>({ type: 'ping' }, 3_000)
      return health
    })
  } catch (error) {
    if (hasCode(error, 'REQUEST_TIMEOUT', 'CHANNEL_CLOSED', 'ECONNRESET')) return 'silent'
    throw error
  }
}

/** undefined: there is no journal, or a parser is just starting or ending and has it open. */
async function fromJournal(paths: StatePaths) {
  try {
    return await readJournal(paths.journal, (view, state) => {
      const queue = { files: 0, bytes: 0 }
      for (const entry of view.queuedFrom(0, Number.MAX_SAFE_INTEGER)) {
        if (entry.stage === 'settling') continue
        queue.files += 1
        queue.bytes += entry.sizeBytes
      }
      const { applied, duplicate, quarantined, bytes, lines } = state
      return { queue, ever: { applied, duplicate, quarantined, bytes, lines } satisfies Counts }
    })
  } catch (error) {
    if (hasCode(error, 'JOURNAL_IN_USE')) return undefined
    throw error
  }
}

function processPicture(health: Health | 'silent' | undefined, report: ProcessReport | undefined) {
  const alive = typeof health === 'object' ? health : undefined
  return {
    state: alive?.state ?? (health === 'silent' ? 'silent' : (report?.state ?? 'stopped')),
    pid: alive?.pid ?? report?.pid ?? null,
    uptimeSeconds: alive?.uptimeSeconds ?? null,
    restarts: report?.restarts ?? 0,
    ...(alive?.reason === undefined ? {} : { reason: alive.reason }),
    ...(alive === undefined
      ? {}
      : { eventLoopDelayMs: Math.round(alive.eventLoopDelayMs * 10) / 10 }),
  }
}

function mariadbPicture(supervisor: SupervisorStatus | undefined) {
  if (supervisor?.mariadb === undefined) return {}
  return { pid: supervisor.mariadb.pid ?? null, restarts: supervisor.mariadb.restarts }
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
      p.queue === null ? 'unknown' : `${p.queue.files} files, ${formatBytes(p.queue.bytes)}`,
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
  const note =
    p.answeredBy === 'parser'
      ? ''
      : p.answeredBy === 'journal'
        ? '(the parser does not answer; the queue and the counts are from its journal)\n'
        : '(the parser does not answer, and there is no journal to read beside it)\n'
  const room = columnsOf(process.stdout) - LABEL_WIDTH
  const rows = lines.flatMap(([label, value]) =>
    labelled(label.padEnd(LABEL_WIDTH), wrapText(value, room)),
  )
  return `${rows.join('\n')}\n${note}`
}

const LABEL_WIDTH = 12

function databaseText(database: Picture['database']): string {
  const { state, kind, remembered } = database
  const name = remembered === null || remembered === PRIVATE_DATABASE ? '' : `, ${remembered}`
  return `${state} (${kind}${name})${because(databaseReason(database))}`
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
  if (p.restarts) parts.push(`${p.restarts} restarts`)
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

function countsText(counts: Counts): string {
  return `${formatCount(counts.applied)} applied, ${formatCount(counts.duplicate)} duplicate, ${formatCount(counts.quarantined)} quarantined; ${formatBytes(counts.bytes)}, ${formatCount(counts.lines)} lines`
}

function grewText({ files, newest }: GrewAfterwards): string {
  const names = newest.map(({ name, change }) => `${name} (${change})`).join('; ')
  const others = files > newest.length ? '; and others' : ''
  return `${formatCount(files)} changed after they were counted, and what came later is in no total: ${names}${others}`
}
