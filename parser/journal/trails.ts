import { givenName } from '../../shared/paths.ts'
import type { ProcessedFile, QueuedTrail, TrailQuestion } from '../../shared/protocol.ts'
import { hasHash, type QueueEntry } from '../facts.ts'
import type { JournalView } from './views.ts'

/** What the journal has kept of the files of a name, or of contents. */
export interface JournalTrails {
  /** On their way, the earliest first. */
  readonly queued: readonly QueuedTrail[]
  /** Of each content, by its hash in hex: the file that was counted, and the one that came last. */
  readonly settled: ReadonlyMap<string, readonly ProcessedFile[]>
  /** Of the name, newest first, as far back as is looked. */
  readonly named: readonly ProcessedFile[]
}

/**
 * Gathers them in slices: stops where others may get a turn.
 *
 * @param contents which belong to it for other reasons, in hex.
 */
export function* journalTrails(
  view: JournalView,
  { prefix, name }: TrailQuestion,
  contents: readonly string[],
): Generator<void, JournalTrails> {
  const known = new Set(contents)
  const isMeant = (file: { name: string; sha256?: string }): boolean =>
    prefix === undefined
      ? known.has(file.sha256 ?? '') || isNamed(file, name ?? '')
      : file.sha256?.startsWith(prefix) === true
  const queued = yield* queuedFiles(view, isMeant)
  const named = name === undefined ? [] : yield* namedFiles(view, name)
  const settled = new Map<string, readonly ProcessedFile[]>()
  if (prefix !== undefined) for (const { sha256 } of view.contents(prefix)) known.add(sha256)
  for (const { sha256 } of [...queued, ...named]) if (sha256 !== undefined) known.add(sha256)
  for (const sha256 of known) {
    if (/^0+$/.test(sha256)) continue
    const { applied = 0, last = 0 } = view.content(Buffer.from(sha256, 'hex')) ?? {}
    const numbers = new Set([applied, last].filter(number => number > 0))
    const files = [...numbers].flatMap(number => view.processed(number) ?? [])
    if (files.length > 0) settled.set(sha256, files)
  }
  return { queued, settled, named }
}

function* queuedFiles(
  view: JournalView,
  isMeant: (file: { name: string; sha256?: string }) => boolean,
): Generator<void, QueuedTrail[]> {
  const found: QueuedTrail[] = []
  for (let from = 0, seen = 0; seen < QUEUE_SCAN_MAX; ) {
    const slice = [...view.queuedFrom(from, SLICE)]
    for (const entry of slice) {
      // The history has what is known of it.
      if (entry.stage === 'settling') continue
      const file = queuedTrail(entry)
      if (isMeant(file)) found.push(file)
    }
    if (slice.length < SLICE || found.length >= FOUND_MAX) break
    from = slice.at(-1)!.sequence + 1
    seen += slice.length
    yield
  }
  return found.slice(0, FOUND_MAX)
}

function* namedFiles(view: JournalView, name: string): Generator<void, ProcessedFile[]> {
  const found: ProcessedFile[] = []
  let before: number | undefined
  for (let seen = 0; seen < HISTORY_SCAN_MAX && found.length < FOUND_MAX; seen += SLICE) {
    const question = { kind: 'newest', ...(before === undefined ? {} : { before }) } as const
    const { files, next } = view.answer(question, SLICE)
    found.push(...files.filter(file => isNamed(file, name)))
    if (next === undefined) break
    before = next
    yield
  }
  return found.slice(0, FOUND_MAX)
}

function isNamed(file: { name: string; sha256?: string }, name: string): boolean {
  const sha256 = file.sha256 ?? ''
  return file.name === name || givenName(file.name, sha256) === givenName(name, sha256)
}

function queuedTrail(entry: QueueEntry): QueuedTrail {
  const { sequence, name, sizeBytes, stage, claimedAtMs } = entry
  const { checkpoint, checkpoints, digest, expected, provenance } = entry
  const { origin, publishedAtMs, announcedAtMs } = provenance ?? {}
  const isRead = digest !== undefined && hasHash(digest)
  const sha256 = isRead ? Buffer.from(digest.sha256).toString('hex') : expected?.sha256
  return {
    ...{ sequence, name, sizeBytes, stage, claimedAtMs },
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(origin === undefined ? {} : { origin: Buffer.from(origin).toString('hex') }),
    ...(publishedAtMs === undefined ? {} : { publishedAtMs }),
    ...(announcedAtMs === undefined ? {} : { announcedAtMs }),
    ...(checkpoint === undefined ? {} : { checkpointBytes: checkpoint.positionBytes }),
    ...(checkpoints === undefined ? {} : { checkpoints }),
    ...(isRead ? { digestStartedAtMs: digest.startedAtMs, digestedAtMs: digest.endedAtMs } : {}),
  }
}

/** Looked at before others get a turn: about a millisecond. */
const SLICE = 128
const QUEUE_SCAN_MAX = 20_000
const HISTORY_SCAN_MAX = 20_000
const FOUND_MAX = 20
