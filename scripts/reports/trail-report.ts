/**
 * The trail of a content as a person reads it: what it is, what has become of it and why, each step of
 * its way with how long it took, and what came of the same content besides.
 */

import { formatBytes, formatCount, formatDuration } from '../../shared/numbers.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import type {
  ContentTrail,
  OrderTrail,
  OtherContent,
  PostingTrail,
  TrailFile,
} from '../../shared/protocol.ts'
import {
  columnsOf,
  formatTable,
  labelled,
  preciseTime,
  shorten,
  timeText,
  wrapText,
} from '../terminal/index.ts'
import { type Step, stepsOf } from './trail-steps.ts'
import { fileOfTrail, isOf, verdictOf } from './trail-verdict.ts'

/** @param own this state directory's parser, in hex, and where it has the file now. */
export function trailLines(
  trail: ContentTrail,
  isLedgerSilent: boolean,
  own: { readonly parser: string | undefined; readonly place: string | undefined },
): string[] {
  const columns = columnsOf(process.stdout)
  const { name, origin } = fileOfTrail(trail)
  const { ledger } = trail
  const parser = (hex: string): string => (hex === own.parser ? 'this parser' : `parser ${hex}`)
  const facts: [string, string | undefined][] = [
    ['outcome', verdictOf(trail, isLedgerSilent)],
    ['content', trail.sha256 ?? 'not read to its end'],
    ['publication', ledger?.origin ?? origin],
    ['used at', ledger?.usedAtMs === undefined ? undefined : `${preciseTime(ledger.usedAtMs)} UTC`],
    ['taken by', ledger && parser(ledger.parser)],
    ['is now', own.place && quotedName(own.place)],
    ...(ledger?.postings ?? []).map((posting): [string, string] => [
      Number(posting.n) % 2 === 1 ? 'batch' : 'taken back',
      batchText(posting, parser),
    ]),
    ['mends', ledger?.mends && otherText(ledger.mends)],
    ...(trail.mendedBy ?? []).map((one): [string, string] => ['mended by', otherText(one)]),
    ['in place of', ledger?.supersedes && otherText(ledger.supersedes)],
    ['replaced by', ledger?.supersededBy && otherText(ledger.supersededBy)],
    ...(ledger?.orders ?? [])
      .filter(({ state }) => state !== 'done')
      .map((order): [string, string] => ['asked', orderText(order)]),
  ]
  return [
    quotedName(name),
    ...facts.flatMap(([label, text]) => (text === undefined ? [] : fact(label, text, columns))),
    '',
    `  ${''.padEnd(LABEL_WIDTH)}time (UTC)`,
    ...stepLines(stepsOf(trail), columns),
    ...others(trail, columns),
  ]
}

function fact(label: string, text: string, columns: number): string[] {
  const start = `  ${label.padEnd(LABEL_WIDTH)}`
  return labelled(start, wrapText(text, columns - start.length))
}

function batchText(posting: PostingTrail, parser: (hex: string) => string): string {
  const { batch, files = 0, state, begunAtMs, isFolded } = posting
  const others =
    files > 1 ? ` with ${formatCount(files - 1)} other ${files > 2 ? 'files' : 'file'}` : ''
  const begun = begunAtMs === undefined ? '' : `, begun ${preciseTime(begunAtMs)} UTC`
  const by = posting.parser === undefined ? '' : `, by ${parser(posting.parser)}`
  const open = state === undefined || state === 'applied' ? '' : `, ${state}`
  const folded = isFolded ? '; its books are closed: it is part of the opening balance now' : ''
  const why = posting.reason === undefined ? '' : `: ${printable(posting.reason)}`
  return `${batch}${others}${begun}${by}${open}${folded}${why}`
}

function otherText({ sha256, name }: OtherContent): string {
  return name === undefined
    ? `${sha256}, which was never counted`
    : `${quotedName(name)} (${sha256})`
}

function orderText({ kind, state, answer, askedAtMs }: OrderTrail): string {
  const how = { waiting: 'waits', working: 'is being done', done: 'done', refused: 'not done' }[
    state
  ]
  const why = answer === undefined ? '' : `: ${printable(answer)}`
  return `${kind}, ${preciseTime(askedAtMs)} UTC: ${how}${why}`
}

function stepLines(steps: readonly Step[], columns: number): string[] {
  return steps.flatMap(({ what, atMs, tookMs, note }) => {
    const took = tookMs === undefined ? '' : `+ ${formatDuration(tookMs)}`
    const start = `  ${what.padEnd(LABEL_WIDTH)}${preciseTime(atMs)}  ${took.padStart(TOOK_WIDTH)}  `
    if (note === undefined) return [start.trimEnd()]
    return labelled(start, wrapText(note, Math.max(NOTE_COLUMNS_MIN, columns - start.length)))
  })
}

function others(trail: ContentTrail, columns: number): string[] {
  const main = fileOfTrail(trail)
  const shown = trail.sightings.filter(sighting => !isOf(main, sighting))
  if (shown.length === 0) return []
  const more = trail.sightingsCount - trail.sightings.length
  return [
    '',
    'Besides, of the same content (newest first, UTC):',
    ...shown.flatMap(({ atMs, outcome, name, reason }) => {
      const start = `  ${timeText(atMs)}  ${outcome === 'grew' ? 'changed' : outcome}  `
      return labelled(start, wrapText(`${quotedName(name)}: ${reason}`, columns - start.length))
    }),
    ...(more > 0 ? [`  and ${formatCount(more)} more`] : []),
  ]
}

/** Which files are meant, when they are several. */
export function severalLines(files: readonly TrailFile[]): string[] {
  const columns = columnsOf(process.stdout)
  const digits = columns === Number.POSITIVE_INFINITY ? 64 : SHORT_HASH_DIGITS
  const rows = files.map(({ atMs, state, sizeBytes, sha256, name }) => [
    timeText(atMs),
    STATE_WORDS[state],
    sizeBytes === undefined ? '' : formatBytes(sizeBytes),
    sha256?.slice(0, digits) ?? 'not read',
    quotedName(name),
  ])
  const lines = formatTable(['time (UTC)', 'state', 'size', 'content', 'name'], rows, new Set([2]))
  return lines.map(line => shorten(line, columns))
}

/** Of a file whose content was never seen: what came under its name, newest first. */
export function namesakeLines(files: readonly TrailFile[], hasMore: boolean): string[] {
  const lines = files.map(({ state, atMs, sha256 }) => {
    const content = sha256 === undefined ? 'not read to its end' : `with content ${sha256}`
    return `that name: ${STATE_WORDS[state]} ${timeText(atMs)} UTC ${content}`
  })
  return hasMore ? [...lines, 'that name: there are more, which are older'] : lines
}

const STATE_WORDS: Readonly<Record<TrailFile['state'], string>> = {
  waiting: 'waits',
  staging: 'is recorded',
  staged: 'waits',
  applying: 'is counted',
  applied: 'counted',
  refused: 'refused',
  duplicate: 'duplicate',
  quarantined: 'quarantined',
  reverting: 'is taken back',
  reverted: 'taken back',
  held: 'held',
  grew: 'changed',
}

const LABEL_WIDTH = 13
const TOOK_WIDTH = 12
const NOTE_COLUMNS_MIN = 20
const SHORT_HASH_DIGITS = 12
