/**
 * What became of a content, or of the files of a name, out of what journal and ledger have kept: for a
 * parser that is asked, and for a command while none runs. The ledger says first which contents are
 * meant; without it the journal does.
 */

import { CountersinkError, describeError } from '../shared/errors.ts'
import { givenName } from '../shared/paths.ts'
import type { TrailAnswer, TrailFile, TrailQuestion } from '../shared/protocol.ts'
import type { JournalTrails } from './journal/index.ts'
import {
  fromSqlTime,
  judgeSqlError,
  type LedgerTrails,
  type WholeLedgerTrail,
} from './ledger/index.ts'

/** The ledger, as far as it is asked here. Each call may fail as a database does. */
export interface TrailLedger {
  findTrails(question: TrailQuestion): Promise<LedgerTrails>
  wholeTrail(sha256: string): Promise<WholeLedgerTrail>
}

export async function trailAnswer(
  question: TrailQuestion,
  ledger: TrailLedger,
  journal: (question: TrailQuestion, contents: readonly string[]) => Promise<JournalTrails>,
): Promise<TrailAnswer> {
  const asked = await orSilent(() => ledger.findTrails(question))
  const found = 'silentBecause' in asked ? NOTHING : asked.value
  const fromLedger = new Set<string>()
  for (const { sha256 } of found.rows) fromLedger.add(sha256.toString('hex'))
  for (const { sha256 } of found.sightings) if (sha256 !== undefined) fromLedger.add(sha256)
  const kept = await journal(question, [...fromLedger])
  const contents = new Set([...fromLedger, ...kept.settled.keys()])
  for (const { sha256 } of kept.queued) if (sha256 !== undefined) contents.add(sha256)
  const unread = filesOf(found, kept).filter(({ sha256 }) => sha256 === undefined)
  const silence = 'silentBecause' in asked ? { ledgerSilentBecause: asked.silentBecause } : {}
  if (contents.size === 0 && unread.length === 0) return silence
  if (contents.size + unread.length > 1) {
    const files = filesOf(found, kept)
    const hasMore = found.hasMore || files.length > FILES_MAX
    return { several: files.slice(0, FILES_MAX), ...(hasMore ? { hasMore } : {}), ...silence }
  }
  const [sha256] = contents
  if (sha256 === undefined) return { trail: unreadTrail(found, kept), ...silence }
  const whole = await orSilent(() => ledger.wholeTrail(sha256))
  return {
    trail: {
      sha256,
      queued: kept.queued.filter(file => file.sha256 === sha256).slice(0, QUEUED_MAX),
      settled: kept.settled.get(sha256) ?? [],
      ...('value' in whole ? asWire(whole.value) : { sightings: [], sightingsCount: 0 }),
    },
    ...('silentBecause' in whole ? { ledgerSilentBecause: whole.silentBecause } : silence),
  }
}

function asWire({ ledger, mendedBy, ...sightings }: WholeLedgerTrail) {
  return {
    ...(ledger === undefined ? {} : { ledger }),
    ...(mendedBy.length === 0 ? {} : { mendedBy }),
    ...sightings,
  }
}

/** Of a file that was not read to its end. */
function unreadTrail({ sightings }: LedgerTrails, { queued, named }: JournalTrails) {
  return {
    ...{ queued: queued.slice(0, QUEUED_MAX), settled: named.filter(isUnread).slice(0, 1) },
    ...{ sightings, sightingsCount: sightings.length },
  }
}

/** All that are meant, newest first, each once. */
function filesOf({ rows, sightings }: LedgerTrails, kept: JournalTrails): TrailFile[] {
  const files: TrailFile[] = [
    ...kept.queued.map(file => ({
      ...common(file),
      state: 'waiting' as const,
      atMs: file.claimedAtMs,
    })),
    ...rows.map(row => ({
      ...called(row.name, row.sha256.toString('hex')),
      state: row.state,
      ...{ atMs: fromSqlTime(row.countedAt ?? row.digestedAt), sizeBytes: Number(row.sizeBytes) },
    })),
    ...sightings.map(({ name, sha256, outcome, atMs }) => ({
      ...{ ...called(name, sha256), state: outcome, atMs },
    })),
  ]
  for (const file of kept.named) {
    const { outcome } = file
    const one = { ...common(file), state: outcome, atMs: file.settledAtMs }
    const isTold = files.some(
      other => other.name === one.name && other.sha256 === one.sha256 && other.state === outcome,
    )
    if (!isTold) files.push(one)
  }
  // Of contents that are meant by their hashes, and that the ledger has said nothing of.
  const told = new Set(files.map(({ sha256 }) => sha256))
  for (const [sha256, settled] of kept.settled) {
    if (told.has(sha256)) continue
    for (const file of settled) {
      files.push({ ...common(file), state: file.outcome, atMs: file.settledAtMs })
    }
  }
  return files.sort((a, b) => b.atMs - a.atMs)
}

function common(file: { name: string; sha256?: string; sizeBytes: number }) {
  const { name, sha256, sizeBytes } = file
  const isRead = sha256 !== undefined && !isUnread({ sha256 })
  return { sizeBytes, ...called(name, isRead ? sha256 : undefined) }
}

/** The journal, and earlier versions of the ledger, have the names that files had in the inbox. */
function called(name: string, sha256: string | undefined) {
  return sha256 === undefined ? { name } : { name: givenName(name, sha256), sha256 }
}

/** The history has zeros for the hash that a file never got. */
function isUnread({ sha256 }: { readonly sha256: string }): boolean {
  return /^0+$/.test(sha256)
}

async function orSilent<T>(
  ask: () => Promise<T>,
): Promise<{ readonly value: T } | { readonly silentBecause: string }> {
  try {
    return { value: await ask() }
  } catch (error) {
    if (!(error instanceof CountersinkError) && judgeSqlError(error) === undefined) throw error
    return { silentBecause: describeError(error) }
  }
}

const NOTHING: LedgerTrails = { rows: [], sightings: [], hasMore: false }
/** Told of at once: an answer must fit into a frame. */
const FILES_MAX = 20
const QUEUED_MAX = 3
