import { lstatSync, renameSync, type Stats } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crashPoint } from '../shared/crash-points.ts'
import { syncDirectories, syncDirectory } from '../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { type Manifest, readManifest } from '../shared/manifest.ts'
import { MANIFEST_SUFFIX, parseWorkName, type StatePaths, workName } from '../shared/paths.ts'
import type { Journal } from './journal/journal.ts'
import type { Expected, QueueEntry } from './journal/records.ts'

/**
 * P1: takes files out of the inbox for good, several in one go.
 *
 * For each: manifest, then data, renamed into work/ under a sequence of its own (so nobody can put
 * another file over a claimed one, and a name may come again); then work/ is synced, then one journal
 * commit makes them claimed. The announcer waits, so the inbox is synced later, before the entry is
 * forgotten (P8): where a filesystem does not keep both ends of a rename together, a power loss may
 * bring a name back to the inbox, where its content is found to be a duplicate. What a crash leaves:
 *
 * - after the manifest's rename: a manifest without data in work/. The start puts it back.
 * - after the data's rename, or after the sync: a file in work/ that the journal does not know. The
 *   start adopts it under the sequence in its name.
 * - after the commit: claimed. The announcer may not have heard; its second announcement finds the
 *   file on its way and gets the same ack.
 */
export interface Candidate {
  readonly name: string
  /** Control totals from an announcement; a manifest beside the file counts for more. */
  readonly announced: Expected | undefined
}

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly entry: QueueEntry }
  | { readonly kind: 'gone' }
  /** It is not a regular file. */
  | { readonly kind: 'unfit'; readonly why: string }

/** Files moved before others on the event loop get a turn: about a millisecond. */
const MOVED_AT_ONCE_MAX = 16

/**
 * Claims the candidates in order; the results stand in the same order. Durable on return.
 *
 * Looks and renames go straight to the kernel: each takes microseconds, and the announcer waits.
 */
export async function claimFiles(
  candidates: readonly Candidate[],
  paths: StatePaths,
  journal: Journal,
): Promise<ClaimResult[]> {
  if (candidates.length > 0) journal.assertOwner()
  const results: ClaimResult[] = []
  const entries: QueueEntry[] = []
  for (const [i, candidate] of candidates.entries()) {
    if (i > 0 && i % MOVED_AT_ONCE_MAX === 0) await setImmediate()
    const result = await moveIntoWork(candidate, journal.nextSequence, paths)
    results.push(result)
    if (result.kind !== 'claimed') continue
    entries.push(result.entry)
    journal.skipSequences(result.entry.sequence)
  }
  if (entries.length > 0) {
    await syncDirectory(paths.work)
    crashPoint('P1-claim-synced')
    journal.claim(entries)
    crashPoint('P1-claim-journalled')
  }
  return results
}

async function moveIntoWork(
  candidate: Candidate,
  sequence: number,
  paths: StatePaths,
): Promise<ClaimResult> {
  const { name } = candidate
  const from = join(paths.inbox, name)
  const to = join(paths.work, workName(sequence, name))
  const stats = statsOf(from)
  if (stats === undefined) return { kind: 'gone' }
  if (!stats.isFile()) return { kind: 'unfit', why: 'it is not a regular file' }
  const manifest = statsOf(`${from}${MANIFEST_SUFFIX}`)
  if (manifest !== undefined && !manifest.isFile()) {
    return { kind: 'unfit', why: 'its manifest is not a regular file' }
  }
  const control = manifest === undefined ? {} : await readControl(`${from}${MANIFEST_SUFFIX}`)
  const manifestMoved =
    manifest !== undefined && moved(`${from}${MANIFEST_SUFFIX}`, `${to}${MANIFEST_SUFFIX}`)
  crashPoint('P1-manifest-moved')
  if (!moved(from, to)) {
    if (manifestMoved) moved(`${to}${MANIFEST_SUFFIX}`, `${from}${MANIFEST_SUFFIX}`)
    return { kind: 'gone' }
  }
  crashPoint('P1-data-moved')
  return {
    kind: 'claimed',
    entry: newEntry({
      sequence,
      name,
      sizeBytes: stats.size,
      control,
      announced: candidate.announced,
    }),
  }
}

/** A manifest as it was found: good, bad, or none. */
type Control = { manifest?: Manifest; problem?: string }

async function readControl(path: string): Promise<Control> {
  try {
    const manifest = await readManifest(path)
    return manifest === undefined ? {} : { manifest }
  } catch (error) {
    if (!hasCode(error, 'MANIFEST_INVALID')) throw ioFailed(`reading ${path}`, error)
    return { problem: toError(error).message }
  }
}

function newEntry(facts: {
  sequence: number
  name: string
  sizeBytes: number
  control: Control
  announced: Expected | undefined
}): QueueEntry {
  const { manifest, problem } = facts.control
  return {
    sequence: facts.sequence,
    name: facts.name,
    sizeBytes: facts.sizeBytes,
    claimedAtMs: Date.now(),
    expected: manifest ?? facts.announced,
    manifestProblem: problem,
    disposable: manifest?.disposable ?? false,
    stage: 'claimed',
    digest: undefined,
    outcome: undefined,
    checkpoint: undefined,
    runName: undefined,
  }
}

/**
 * At the start and now and then: what stands in work/ and is not in the journal is claimed; a
 * manifest that lost its data goes back to the inbox. Must not run while files are being claimed.
 *
 * @returns the entries that are new to the journal.
 */
export async function adoptWork(
  paths: StatePaths,
  journal: Journal,
  log: Log,
): Promise<QueueEntry[]> {
  const names = new Set(await readdir(paths.work))
  const adopted: QueueEntry[] = []
  // Whether anything was moved between inbox and work/.
  let movedManifests = false
  for (const name of names) {
    const work = parseWorkName(name)
    if (work === undefined) {
      log.warn('left alone: a file in work/ that is not of this program', { name })
      continue
    }
    journal.skipSequences(work.sequence)
    // Known to the journal, or the manifest of what is: whoever has the entry moves or removes it.
    const known = journal.queued(work.sequence)?.name
    if (work.name === known || work.name === `${known}${MANIFEST_SUFFIX}`) continue
    if (name.endsWith(MANIFEST_SUFFIX)) {
      if (names.has(name.slice(0, -MANIFEST_SUFFIX.length))) continue
      await putManifestBack(join(paths.work, name), join(paths.inbox, work.name))
      movedManifests = true
      continue
    }
    const stats = statsOf(join(paths.work, name))
    if (stats === undefined) continue
    if (!stats.isFile()) {
      log.warn('left alone: not a regular file in work/', { name })
      continue
    }
    const isTaken = adopted.some(one => one.sequence === work.sequence)
    const sequence = await ownSequence(work, isTaken, paths, journal)
    const path = join(paths.work, workName(sequence, work.name))
    const isTorn = !names.has(`${name}${MANIFEST_SUFFIX}`)
    if (isTorn && (await fetchManifest(path, join(paths.inbox, work.name), stats.size))) {
      movedManifests = true
    }
    const control = await readControl(`${path}${MANIFEST_SUFFIX}`)
    adopted.push(
      newEntry({ name: work.name, sequence, sizeBytes: stats.size, control, announced: undefined }),
    )
    log.warn('adopted a file in work/ that the journal did not know', { name })
  }
  if (movedManifests) await syncDirectories(paths.inbox, paths.work)
  if (adopted.length > 0) {
    adopted.sort((a, b) => a.sequence - b.sequence)
    journal.claim(adopted)
  }
  return adopted
}

/**
 * The sequence to adopt a file under: the one in its name, which the ledger may know it by. But one
 * that the journal has given to another file was given twice, by a parser that had been replaced
 * and did not know it yet: that file gets a new one.
 */
async function ownSequence(
  work: { sequence: number; name: string },
  adoptedNow: boolean,
  paths: StatePaths,
  journal: Journal,
): Promise<number> {
  const isTaken = adoptedNow || journal.queued(work.sequence) !== undefined
  const wasGiven = !journal.isNew && work.sequence < journal.firstUncommittedSequence
  if (!isTaken && !wasGiven) return work.sequence
  const sequence = journal.nextSequence
  journal.skipSequences(sequence)
  const from = join(paths.work, workName(work.sequence, work.name))
  const to = join(paths.work, workName(sequence, work.name))
  moved(`${from}${MANIFEST_SUFFIX}`, `${to}${MANIFEST_SUFFIX}`)
  moved(from, to)
  await syncDirectory(paths.work)
  return sequence
}

/**
 * A parser that was replaced between its two renames: its manifest was put back by the successor,
 * its data came to work/ after that. The manifest follows, if the inbox has no data of that name.
 */
async function fetchManifest(path: string, inInbox: string, sizeBytes: number): Promise<boolean> {
  if (statsOf(inInbox) !== undefined) return false
  const { manifest } = await readControl(`${inInbox}${MANIFEST_SUFFIX}`)
  if (manifest?.sizeBytes !== sizeBytes) return false
  return moved(`${inInbox}${MANIFEST_SUFFIX}`, `${path}${MANIFEST_SUFFIX}`)
}

/** Unless the inbox has one of that name again. */
async function putManifestBack(from: string, to: string): Promise<void> {
  if (statsOf(to) === undefined) moved(from, to)
  else await rm(from, { force: true })
}

/** Renames; false when there is nothing to rename. */
function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw ioFailed(`rename of ${from} to ${to}`, error)
  }
}

/** Of the name itself, not of what a link points to; undefined when there is none. */
function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw ioFailed(`looking at ${path}`, error)
  }
}

function ioFailed(what: string, thrown: unknown): CountersinkError {
  return new CountersinkError('IO_FAILED', `${what} failed`, { cause: thrown })
}
