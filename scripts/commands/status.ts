import { formatBytes, formatCount, formatCountOf, formatDuration } from '../../shared/numbers.ts'
import { quotedName } from '../../shared/printable.ts'
import type {
  Counts,
  GrewAfterwards,
  LeftInInbox,
  SameNames,
  UnmovedFiles,
  UsageUpkeep,
  WaitingOrders,
} from '../../shared/protocol.ts'
import { PRIVATE_DATABASE } from '../../shared/remembered-ledger.ts'
import { PICTURE_SHAPE, type Picture, statusPicture } from '../answers/index.ts'
import { command, one } from '../command-table/index.ts'
import {
  columnsOf,
  EXIT,
  environment,
  labelled,
  linesText,
  print,
  timeText,
  wrapText,
} from '../terminal/index.ts'

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
    const picture = await statusPicture(paths, config.databaseUrl === '' ? 'private' : 'yours')
    if (values.json) await answer(picture)
    else await print(text(picture))
    return EXIT.ok
  },
})

function text(p: Picture): string {
  const lines: [string, string][] = [
    ['supervisor', processText(p.supervisor)],
    ['generator', processText(p.generator)],
    ['parser', processText(p.parser)],
    ...(p.serving === undefined ? [] : [['serving', servingText(p.serving)] as [string, string]]),
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
  if (p.usage !== null && isBehind(p.usage)) lines.push(['usage', usageText(p.usage)])
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
  reason?: string | undefined
}): string {
  const parts = [p.state]
  if (p.pid !== null) parts.push(`pid ${p.pid}`)
  if (p.uptimeSeconds !== null) parts.push(`up ${formatDuration(p.uptimeSeconds * 1_000)}`)
  if (p.restarts) parts.push(formatCountOf(p.restarts, 'restart'))
  return parts.join(', ') + because(p.reason)
}

function servingText(serving: NonNullable<Picture['serving']>): string {
  const at = serving.address === undefined ? '' : `, at ${serving.address}`
  return `${processText({ ...serving, reason: undefined })}${at}${because(serving.reason)}`
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

/** Under constant load it is so for some minutes. */
function isBehind({ ageSeconds, why }: UsageUpkeep): boolean {
  return why !== undefined || ageSeconds > 600
}

function usageText({ postings, ageSeconds, why }: UsageUpkeep): string {
  const waits = `${formatCountOf(postings, 'file')} not rolled up yet, for ${formatDuration(ageSeconds * 1_000)}`
  if (postings === 0 && why !== undefined) return why
  return why === undefined ? waits : `${waits}: ${why}`
}

function unmovedText({ files, first }: UnmovedFiles): string {
  const names = first.map(({ name, why }) => `${JSON.stringify(name)} (${why})`).join('; ')
  const others = files > first.length ? '; and others' : ''
  return `${formatCount(files)} settled, but left in work/: ${names}${others}`
}
