import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { syncDirectory, syncDirectoryIfItOpens } from '../../shared/durable.ts'
import { describeError, hasCode, ioFailed } from '../../shared/errors.ts'
import { identityOf } from '../../shared/file-identity.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { MANIFEST_SUFFIX, parseWorkName, type StatePaths, workName } from '../../shared/paths.ts'
import { REFUSED } from '../../shared/state-table.ts'
import type { QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import { move, moveWithoutReplacing, removeIfThere } from '../moves.ts'
import { ADOPTION, type FoundInWork, type KnownToJournal } from './adoption-cases.ts'
import { newEntry } from './claim.ts'
import { type FoundManifest, fetchManifest, readFoundManifest } from './found-manifest.ts'
import { sealFile } from './sealer.ts'

/**
 * At the start and now and then: what stands in work/ and is not in the journal is claimed, synced
 * first if it has no manifest; a manifest that lost its data goes back to the inbox. Must not run
 * while files are being claimed. What becomes of which name is in `adoption-cases.ts`.
 *
 * @param isReading files are read already: who reads goes by sequence, and has passed those in names.
 * @returns the entries that are new to the journal.
 */
export async function adoptWork(
  paths: StatePaths,
  journal: Journal,
  log: Log,
  isReading = false,
): Promise<QueueEntry[]> {
  journal.assertOwner()
  const found = await lookInto(paths.work)
  const adopted: QueueEntry[] = []
  const taken = new Set<number>()
  let looked = 0
  // Whether anything was moved between inbox and work/.
  let movedManifests = false
  for (const [name, isFile] of found) {
    looked += 1
    if (looked % LOOKED_AT_ONCE_MAX === 0) await setImmediate()
    const work = parseWorkName(name)
    if (work !== undefined) journal.skipSequences(work.sequence)
    const known = work === undefined ? 'nothing' : knownOf(work, taken, journal, isReading)
    const what = foundAs(name, isFile, work !== undefined, found)
    const adoption = ADOPTION[what][known]
    assert(adoption !== REFUSED, `${name}: ${what} cannot be known as ${known}`)
    if (adoption === 'leave') continue
    if (work === undefined || adoption === 'tell') {
      log.warn('left alone: something in work/ that is no file of this program', {
        ...{ name, code: 'LEFT_IN_WORK' },
      })
      continue
    }
    if (adoption === 'put back') {
      await putManifestBack(join(paths.work, name), work, paths, log)
      movedManifests = true
      continue
    }
    const stats = statsIfLookedAt(join(paths.work, name))
    if (!stats?.isFile()) continue
    const sequence =
      adoption === 'adopt' ? work.sequence : await ownSequence(work, paths, journal, log)
    if (sequence === undefined) continue
    const path = join(paths.work, workName(sequence, work.name))
    const sizeBytes = Number(stats.size)
    const isTorn = !found.has(`${name}${MANIFEST_SUFFIX}`)
    const fetched = isTorn ? await fetchManifest(path, join(paths.inbox, work.name), sizeBytes) : {}
    if (fetched.manifest !== undefined) movedManifests = true
    const foundManifest = isTorn ? fetched : await manifestInWork(`${path}${MANIFEST_SUFFIX}`)
    const entry = newEntry({
      ...{ name: work.name, sequence, sizeBytes, found: foundManifest, announced: undefined },
      identity: identityOf(stats),
    })
    if (entry.isPlain && !(await isSealed(path, identityOf(stats), log))) continue
    adopted.push(entry)
    taken.add(sequence)
    log.warn('adopted a file in work/ that the journal did not know', { name, code: 'ADOPTED' })
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

interface WorkName {
  readonly sequence: number
  readonly name: string
}

/** Names looked at before others on the event loop get a turn. */
const LOOKED_AT_ONCE_MAX = 128

/** The names in work/, and which are regular files; none where it is gone, which is told of elsewhere. */
async function lookInto(work: string): Promise<ReadonlyMap<string, boolean>> {
  try {
    const entries = await readdir(work, { withFileTypes: true })
    return new Map(entries.map(entry => [entry.name, entry.isFile()]))
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return new Map()
    throw ioFailed(`reading ${work}`, error)
  }
}

function foundAs(
  name: string,
  isFile: boolean,
  isOurs: boolean,
  found: ReadonlyMap<string, boolean>,
): FoundInWork {
  if (!isOurs) return 'foreign'
  if (name.endsWith(MANIFEST_SUFFIX)) {
    return found.has(name.slice(0, -MANIFEST_SUFFIX.length)) ? 'manifest' : 'lone manifest'
  }
  return isFile ? 'data' : 'no file'
}

/**
 * A sequence that the journal has given to another file was given twice, by a parser that had been
 * replaced and did not know it yet.
 */
function knownOf(
  { sequence, name }: WorkName,
  taken: ReadonlySet<number>,
  journal: Journal,
  isReading: boolean,
): KnownToJournal {
  const known = journal.queued(sequence)?.name
  if (known !== undefined) {
    return name === known || name === `${known}${MANIFEST_SUFFIX}` ? 'this' : 'another'
  }
  if (taken.has(sequence)) return 'another'
  const wasGiven = !journal.isNew && sequence < journal.firstUncommittedSequence
  return wasGiven || isReading ? 'given' : 'nothing'
}

/** One that cannot be read is what is wrong with its file. */
async function manifestInWork(path: string): Promise<FoundManifest> {
  return readFoundManifest(path).catch(error => ({ problem: describeError(error) }))
}

/** false: not now, the next look sees to it. One that may not be read is judged for that. */
async function isSealed(
  path: string,
  identity: ReturnType<typeof identityOf>,
  log: Log,
): Promise<boolean> {
  const seal = await sealFile({ path, identity, isAnnounced: true })
  if (seal.kind === 'failed') {
    log.warn('left in work/: it cannot be synced', {
      ...{ path, code: 'LEFT_IN_WORK', because: seal.why },
    })
  }
  return seal.kind === 'sealed' || seal.kind === 'unreadable'
}

/** Gives a file, and its manifest, a sequence that no other has. */
async function ownSequence(
  work: WorkName,
  paths: StatePaths,
  journal: Journal,
  log: Log,
): Promise<number | undefined> {
  const sequence = journal.nextSequence
  journal.skipSequences(sequence)
  const from = join(paths.work, workName(work.sequence, work.name))
  const to = join(paths.work, workName(sequence, work.name))
  for (const suffix of [MANIFEST_SUFFIX, '']) {
    const stays = move(`${from}${suffix}`, `${to}${suffix}`)
    if (stays === undefined || stays.isGone) continue
    if (suffix === '') moveWithoutReplacing(`${to}${MANIFEST_SUFFIX}`, `${from}${MANIFEST_SUFFIX}`)
    log.warn('left in work/: it cannot be given a sequence of its own', {
      ...{ name: work.name, code: 'LEFT_IN_WORK', because: stays.why },
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
  work: WorkName,
  paths: StatePaths,
  log: Log,
): Promise<void> {
  const inInbox = join(paths.inbox, work.name)
  if (moveWithoutReplacing(from, inInbox)) return
  const { manifest } = await manifestInWork(from)
  if (manifest !== undefined && removeIfThere(from) === undefined) {
    log.info('removed a manifest whose data never came', { name: work.name })
    return
  }
  const stem = inInbox.slice(0, -MANIFEST_SUFFIX.length)
  if (!moveWithoutReplacing(from, `${stem}.${work.sequence}${MANIFEST_SUFFIX}`)) {
    log.warn('left in work/: it cannot be moved back to the inbox', {
      ...{ name: work.name, code: 'LEFT_IN_WORK' },
    })
  }
}
