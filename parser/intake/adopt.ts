import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { syncDirectory, syncDirectoryIfItOpens } from '../../shared/durable.ts'
import { describeError, hasCode, ioFailed } from '../../shared/errors.ts'
import { identityOf } from '../../shared/file-identity.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { MANIFEST_SUFFIX, parseWorkName, type StatePaths, workName } from '../../shared/paths.ts'
import type { QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/journal.ts'
import { move, moveWithoutReplacing, removeIfThere } from '../moves.ts'
import { type Control, fetchManifest, newEntry, readControl } from './claim.ts'
import { sealFile } from './sealer.ts'

/**
 * At the start and now and then: what stands in work/ and is not in the journal is claimed, synced
 * first if it has no manifest; a manifest that lost its data goes back to the inbox. Must not run
 * while files are being claimed.
 *
 * @returns the entries that are new to the journal.
 */
export async function adoptWork(
  paths: StatePaths,
  journal: Journal,
  log: Log,
): Promise<QueueEntry[]> {
  journal.assertOwner()
  const names = await namesIn(paths.work)
  const adopted: QueueEntry[] = []
  const taken = new Set<number>()
  let looked = 0
  // Whether anything was moved between inbox and work/.
  let movedManifests = false
  for (const name of names) {
    looked += 1
    if (looked % LOOKED_AT_ONCE_MAX === 0) await setImmediate()
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
      await putManifestBack(join(paths.work, name), work, paths, log)
      movedManifests = true
      continue
    }
    const stats = statsIfLookedAt(join(paths.work, name))
    if (stats === undefined) continue
    if (!stats.isFile()) {
      log.warn('left alone: not a regular file in work/', { name })
      continue
    }
    const isTaken = taken.has(work.sequence)
    const sequence = await ownSequence(work, isTaken, paths, journal, log)
    if (sequence === undefined) continue
    const path = join(paths.work, workName(sequence, work.name))
    const sizeBytes = Number(stats.size)
    const isTorn = !names.has(`${name}${MANIFEST_SUFFIX}`)
    const fetched = isTorn ? await fetchManifest(path, join(paths.inbox, work.name), sizeBytes) : {}
    if (fetched.manifest !== undefined) movedManifests = true
    const control = isTorn ? fetched : await controlInWork(`${path}${MANIFEST_SUFFIX}`)
    const entry = newEntry({
      ...{ name: work.name, sequence, sizeBytes, control, announced: undefined },
      identity: identityOf(stats),
    })
    if (entry.isPlain && !(await isSealed(path, identityOf(stats), log))) continue
    adopted.push(entry)
    taken.add(sequence)
    log.warn('adopted a file in work/ that the journal did not know', { name })
  }
  if (movedManifests) {
    await syncDirectoryIfItOpens(paths.inbox)
    await syncDirectory(paths.work)
  }
  if (adopted.length > 0) {
    adopted.sort((a, b) => a.sequence - b.sequence)
    journal.claim(adopted)
  }
  return adopted
}

/** Names looked at before others on the event loop get a turn. */
const LOOKED_AT_ONCE_MAX = 128

/** None where work/ is gone or is no directory just now, which is told of elsewhere. */
async function namesIn(work: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(work))
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return new Set()
    throw ioFailed(`reading ${work}`, error)
  }
}

/** One that cannot be read is what is wrong with its file. */
async function controlInWork(path: string): Promise<Control> {
  return readControl(path).catch(error => ({ problem: describeError(error) }))
}

/** false: not now, the next look sees to it. One that may not be read is judged for that. */
async function isSealed(
  path: string,
  identity: ReturnType<typeof identityOf>,
  log: Log,
): Promise<boolean> {
  const seal = await sealFile({ path, identity, isAnnounced: true })
  if (seal.kind === 'failed') {
    log.warn('left in work/: it cannot be synced', { path, because: seal.why })
  }
  return seal.kind === 'sealed' || seal.kind === 'unreadable'
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
  log: Log,
): Promise<number | undefined> {
  const isTaken = adoptedNow || journal.queued(work.sequence) !== undefined
  const wasGiven = !journal.isNew && work.sequence < journal.firstUncommittedSequence
  if (!isTaken && !wasGiven) return work.sequence
  const sequence = journal.nextSequence
  journal.skipSequences(sequence)
  const from = join(paths.work, workName(work.sequence, work.name))
  const to = join(paths.work, workName(sequence, work.name))
  for (const suffix of [MANIFEST_SUFFIX, '']) {
    const stays = move(`${from}${suffix}`, `${to}${suffix}`)
    if (stays === undefined || stays.isGone) continue
    if (suffix === '') moveWithoutReplacing(`${to}${MANIFEST_SUFFIX}`, `${from}${MANIFEST_SUFFIX}`)
    log.warn('left in work/: it cannot be given a sequence of its own', {
      ...{ name: work.name, because: stays.why },
    })
    return undefined
  }
  await syncDirectory(paths.work)
  return sequence
}

/**
 * If the inbox has one of that name again, a manifest of ours is of no use any more and goes. What is
 * none of ours is somebody's file, whatever its name: it gets a name of its own there.
 */
async function putManifestBack(
  from: string,
  work: { sequence: number; name: string },
  paths: StatePaths,
  log: Log,
): Promise<void> {
  const inInbox = join(paths.inbox, work.name)
  if (moveWithoutReplacing(from, inInbox)) return
  const { manifest } = await controlInWork(from)
  if (manifest !== undefined && removeIfThere(from) === undefined) {
    log.info('removed a manifest whose data never came', { name: work.name })
    return
  }
  const stem = inInbox.slice(0, -MANIFEST_SUFFIX.length)
  if (!moveWithoutReplacing(from, `${stem}.${work.sequence}${MANIFEST_SUFFIX}`)) {
    log.warn('left in work/: it cannot be moved back to the inbox', { name: work.name })
  }
}
