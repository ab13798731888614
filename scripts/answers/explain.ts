/** What `explain --json` prints, of a file and of a consumer. */

import type {
  ContentTrail,
  LedgerTrail,
  PostingTrail,
  QueuedTrail,
  SightingTrail,
  TrailFile,
} from '../../shared/protocol.ts'
import { CONTENT_STATES } from '../../shared/protocol.ts'
import {
  count,
  digits,
  FILE_SHAPE,
  fields,
  fileJson,
  flag,
  lines,
  list,
  oneOf,
  orNull,
  sha256,
  text,
  time,
} from '../command-table/index.ts'
import type { InInbox } from '../publishing/index.ts'
import {
  type ConsumerLines,
  fileOfTrail,
  type Period,
  stepsOf,
  verdictOf,
} from '../reports/index.ts'

const BATCH_STATES = ['unrecorded', 'applying', 'retreating', 'blocked', 'applied'] as const
const signedAmount = {
  ...text('decimal, below zero where something was taken back'),
  pattern: String.raw`^-?\d{1,39}$`,
}
const PUBLICATION = text('the name of this publication, hex')
const PARSER = text('the instance of a parser, hex')
const CHECKPOINTS = fields({ count: count(), lastAt: time(), lastPosition: count('bytes') })

const POSTING = fields(
  { n: count('odd: counted; even: taken back'), batch: text('hex'), folded: flag() },
  {
    ...{ state: oneOf(...BATCH_STATES), parser: PARSER },
    ...{ files: count('in this batch'), begunAt: time(), endedAt: time() },
    reason: text('of who has asked for it'),
  },
)
const OTHER = fields({ sha256 }, { name: text('missing: the ledger has no such content') })
const ORDER = fields(
  {
    ...{ kind: text(), state: oneOf('waiting', 'working', 'done', 'refused') },
    ...{ reason: text('of who asked'), askedAt: time() },
  },
  { answer: text('why it waits or is refused, or what came of it'), endedAt: time() },
)
const LEDGER = fields(
  {
    ...{ sequence: digits(), publication: PUBLICATION, parser: PARSER, workSequence: digits() },
    ...{ name: text(), size: count('bytes'), lines: count(), amount: digits() },
    consumers: orNull(count(), 'null: counted before sums were kept'),
    ...{
      state: oneOf(...CONTENT_STATES),
      attempts: count('of recording its sums, before the last'),
    },
    ...{ claimedAt: time(), digestedAt: time(), postings: list(POSTING, 'the newest ten') },
    orders: list(ORDER, 'the newest five that were asked for it'),
  },
  {
    rejectedLines: count('bad ones that were put aside; missing: none'),
    ...{ reason: text('why it is refused, or was taken back'), publishedAt: time() },
    usedAt: time('when what it tells of was used; missing: when it was claimed'),
    ...{ recordedAt: time(), countedAt: time(), revertedAt: time() },
    ...{ mends: OTHER, supersedes: OTHER, supersededBy: OTHER },
  },
)
const QUEUED = fields(
  {
    ...{ sequence: count(), name: text(), size: count('bytes'), claimedAt: time() },
    stage: oneOf('claimed', 'digested', 'settling'),
  },
  {
    ...{ sha256, publication: PUBLICATION, publishedAt: time(), announcedAt: time() },
    ...{ checkpoints: CHECKPOINTS, digestStartedAt: time(), digestedAt: time() },
  },
)
const SIGHTING = fields(
  {
    ...{ parser: PARSER, workSequence: digits(), name: text(), time: time(), reason: text() },
    outcome: oneOf('duplicate', 'quarantined', 'refused', 'grew', 'reverted', 'held'),
  },
  { sha256 },
)

const NAMED_FILE = fields(
  {
    ...{ name: text(), time: time() },
    state: oneOf('waiting', ...CONTENT_STATES, 'duplicate', 'quarantined', 'grew'),
  },
  { sha256, size: count('bytes') },
)

/** The way of one content. */
export const TRAIL = fields(
  {
    kind: oneOf('content'),
    ...{ name: text(), sha256: orNull(sha256, 'null: it was not read to its end') },
    ...{ counted: flag(), outcome: text('in words, with the reason') },
    steps: list(
      fields(
        { step: text(), time: time() },
        { tookMs: count('since the step before'), note: text() },
      ),
      'in their order',
    ),
    queued: list(QUEUED, 'files of it on their way'),
    settled: list(FILE_SHAPE, 'in the history: the file that was counted, and the last one'),
    sightings: list(SIGHTING, 'its files that were not counted, the newest five'),
    sightingsCount: count(),
  },
  {
    path: text('where this state directory has it now'),
    rejects: text('where it has the bad lines that were put aside'),
    ledger: LEDGER,
    mendedBy: list(OTHER, 'the newest five of those that mend it'),
  },
)
export const SEVERAL = fields({
  kind: oneOf('several'),
  files: list(NAMED_FILE, 'newest first'),
  hasMore: flag('there are older ones'),
})
export const IN_INBOX = fields(
  { kind: oneOf('inbox'), name: text() },
  { sha256, size: count(), publishedAt: time() },
)
const UNKNOWN = fields(
  { kind: oneOf('unknown'), asked: text('the SHA-256 of a file that stands there') },
  {
    name: text('of that file'),
    files: list(NAMED_FILE, 'that came under its name, with other contents, newest first'),
    hasMore: flag('there are older ones'),
  },
)
/** Of a consumer: what stood there at first contact, … */
export const OPENING = fields(
  {
    ...{ kind: oneOf('opening'), id: digits() },
    amount: orNull(signedAmount, 'null: not known of single consumers'),
  },
  { since: time('as it was understood'), until: time('as it was understood') },
)
/** … what lies outside of the time that is asked for, together, … */
export const OUTSIDE = fields({
  kind: oneOf('before', 'after'),
  ...{ postings: count(), amount: signedAmount, runningTotal: signedAmount },
})
/** … each posting within, … */
export const CONSUMER_POSTING = fields(
  {
    ...{ kind: oneOf('posting'), time: time(), amount: signedAmount },
    ...{ runningTotal: signedAmount, name: text(), sha256, batch: text('hex') },
    beingCounted: flag(),
  },
  { order: text('what has asked for it: undo, supersede, reset'), reason: text() },
)
/** … and whether today's total is what they make. */
export const TOTAL = fields({
  ...{ kind: oneOf('total'), postings: count(), expected: signedAmount },
  total: orNull(signedAmount, 'null: it has none'),
  difference: orNull(signedAmount, 'what the total has more than expected; null: not known'),
  addsUp: orNull(flag()),
})

export const EXPLAIN_ANSWER = lines(
  ...[TRAIL, SEVERAL, IN_INBOX, UNKNOWN, OPENING, OUTSIDE, CONSUMER_POSTING, TOTAL],
)

type Say = (fields: object) => Promise<void>

/** @param own where this state directory has the file now, and what was put aside of it. */
export function trailJson(
  trail: ContentTrail,
  isLedgerSilent: boolean,
  own: { readonly place: string | undefined; readonly rejects: string | undefined },
) {
  const { ledger } = trail
  return {
    ...{ kind: 'content', name: fileOfTrail(trail).name, sha256: trail.sha256 ?? null },
    counted: ledger?.state === 'applied',
    outcome: verdictOf(trail, isLedgerSilent),
    ...(own.place === undefined ? {} : { path: own.place }),
    ...(own.rejects === undefined ? {} : { rejects: own.rejects }),
    steps: stepsOf(trail).map(({ what, atMs, tookMs, note }) => ({
      ...{ step: what, time: iso(atMs) },
      ...(tookMs === undefined ? {} : { tookMs }),
      ...(note === undefined ? {} : { note }),
    })),
    queued: trail.queued.map(queuedJson),
    settled: trail.settled.map(fileJson),
    sightings: trail.sightings.map(sightingJson),
    sightingsCount: trail.sightingsCount,
    ...(ledger === undefined ? {} : { ledger: ledgerJson(ledger) }),
    ...(trail.mendedBy === undefined ? {} : { mendedBy: trail.mendedBy }),
  }
}

export function severalJson(files: readonly TrailFile[], hasMore: boolean) {
  return { kind: 'several', files: files.map(namedJson), hasMore }
}

/** Of a file whose content was never seen: those of its name. */
export function namesakesJson(name: string, files: readonly TrailFile[], hasMore: boolean) {
  return { name, files: files.map(namedJson), hasMore }
}

function namedJson({ name, sha256, state, atMs, sizeBytes }: TrailFile) {
  return {
    ...{ name, state, time: iso(atMs) },
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(sizeBytes === undefined ? {} : { size: sizeBytes }),
  }
}

export function inboxJson({ name, manifest }: InInbox) {
  if (manifest === undefined) return { kind: 'inbox', name }
  const { sha256, sizeBytes, publishedAtMs } = manifest
  return { kind: 'inbox', name, sha256, size: sizeBytes, ...at('publishedAt', publishedAtMs) }
}

function ledgerJson(trail: LedgerTrail) {
  const { sequence, origin, parser, workSequence, name, sizeBytes, lines, amount, pairs } = trail
  return {
    ...{
      sequence,
      publication: origin,
      parser,
      workSequence,
      name,
      size: sizeBytes,
      lines,
      amount,
    },
    ...(trail.rejectedLines === undefined ? {} : { rejectedLines: trail.rejectedLines }),
    ...{ consumers: pairs ?? null, state: trail.state, attempts: trail.attempts },
    ...at('publishedAt', trail.publishedAtMs),
    ...at('usedAt', trail.usedAtMs),
    ...{ claimedAt: iso(trail.claimedAtMs), digestedAt: iso(trail.digestedAtMs) },
    postings: trail.postings.map(postingJson),
    ...(trail.reason === undefined ? {} : { reason: trail.reason }),
    ...at('recordedAt', trail.recordedAtMs),
    ...at('countedAt', trail.countedAtMs),
    ...at('revertedAt', trail.revertedAtMs),
    orders: trail.orders.map(({ askedAtMs, endedAtMs, ...order }) => ({
      ...order,
      askedAt: iso(askedAtMs),
      ...at('endedAt', endedAtMs),
    })),
    ...(trail.mends === undefined ? {} : { mends: trail.mends }),
    ...(trail.supersedes === undefined ? {} : { supersedes: trail.supersedes }),
    ...(trail.supersededBy === undefined ? {} : { supersededBy: trail.supersededBy }),
  }
}

function postingJson({ isFolded, begunAtMs, endedAtMs, ...facts }: PostingTrail) {
  return { ...facts, folded: isFolded, ...at('begunAt', begunAtMs), ...at('endedAt', endedAtMs) }
}

function queuedJson(file: QueuedTrail) {
  const { sequence, name, sizeBytes, claimedAtMs, stage, sha256, origin, checkpoints } = file
  return {
    ...{ sequence, name, size: sizeBytes, claimedAt: iso(claimedAtMs), stage },
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(origin === undefined ? {} : { publication: origin }),
    ...at('publishedAt', file.publishedAtMs),
    ...at('announcedAt', file.announcedAtMs),
    ...(checkpoints === undefined
      ? {}
      : {
          checkpoints: {
            ...{ count: checkpoints.count, lastAt: iso(checkpoints.lastAtMs) },
            lastPosition: checkpoints.lastPositionBytes,
          },
        }),
    ...at('digestStartedAt', file.digestStartedAtMs),
    ...at('digestedAt', file.digestedAtMs),
  }
}

function sightingJson({ atMs, ...facts }: SightingTrail) {
  return { ...facts, time: iso(atMs) }
}

/** An object a line; ids, amounts and totals are strings. */
export function consumerJson(id: bigint, { sinceMs, untilMs }: Period, say: Say): ConsumerLines {
  const period = { ...at('since', finite(sinceMs)), ...at('until', finite(untilMs)) }
  return {
    opening: amount =>
      say({ kind: 'opening', id: `${id}`, amount: amount?.toString() ?? null, ...period }),
    outside: (which, postings, amount, total) =>
      say({ kind: which, postings, amount: `${amount}`, runningTotal: `${total}` }),
    posting: ({ atMs, isBatchOpen, amount, name, sha256, batchId, order }, total) =>
      say({
        ...{ kind: 'posting', time: iso(atMs), amount: `${amount}`, runningTotal: `${total}` },
        ...{ name, sha256: sha256.toString('hex'), batch: batchId.toString('hex') },
        beingCounted: isBatchOpen,
        ...(order === undefined ? {} : { order: order.kind, reason: order.reason }),
      }),
    end: ({ postings, expected, total, difference }) =>
      say({
        ...{ kind: 'total', postings, expected: `${expected}`, total: total?.toString() ?? null },
        difference: difference?.toString() ?? null,
        addsUp: difference === undefined ? null : difference === 0n,
      }),
  }
}

function finite(ms: number): number | undefined {
  return Number.isFinite(ms) ? ms : undefined
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function at<K extends string>(key: K, ms: number | undefined): { [key in K]?: string } {
  return ms === undefined ? {} : ({ [key]: iso(ms) } as { [key in K]?: string })
}
