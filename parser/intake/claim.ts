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
 *
 * Manifest and data are claimed together or not at all: if the data does not come, the manifest goes
 * back. Data without a manifest is claimed only as it was when it was synced (`Sealer`); if it is
 * another file by now, before its rename or after it, it stays in the inbox or goes back. Trouble
 * with one name is that name's: only what fails with work/ or the journal as a whole is thrown.
 */

import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crashPoint } from '../../shared/crash-points.ts'
import { syncDirectory } from '../../shared/durable.ts'
import { hasCode, systemReason } from '../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../shared/file-identity.ts'
import { exactStatsOf, statsOf } from '../../shared/looks.ts'
import { MANIFEST_SUFFIX, type StatePaths, workName } from '../../shared/paths.ts'
import type { Announce } from '../../shared/protocol.ts'
import type { Expected, Provenance, QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import { type MoveFailure, move, moveWithoutReplacing } from '../moves.ts'
import { type FoundManifest, fetchManifest, readFoundManifest } from './found-manifest.ts'

export interface Candidate {
  readonly name: string
  /** Control totals from an announcement; a manifest beside the file counts for more. */
  readonly announced: Expected | undefined
  /** What came with the announcement besides. */
  readonly provenance?: Provenance | undefined
  readonly usedAtMs?: number | undefined
  /** As it was when its bytes were on the disk; needed where no manifest vouches for it. */
  readonly sealed?: FileIdentity | undefined
}

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly entry: QueueEntry }
  | { readonly kind: 'gone' }
  /** It, or what stands in the place of its manifest, is not a regular file. */
  | { readonly kind: 'unfit'; readonly why: string }
  /** It has no manifest and is not, or not any more, what was synced. */
  | { readonly kind: 'unsealed' }
  /** It could not be moved. */
  | { readonly kind: 'stuck'; readonly why: string }

/** Files moved before others on the event loop get a turn: about a millisecond. */
const MOVED_AT_ONCE_MAX = 16

/** Claims the candidates in order; the results stand in the same order. Durable on return. */
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
    const result = await moveIntoWork(candidate, paths, journal)
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
  paths: StatePaths,
  journal: Journal,
): Promise<ClaimResult> {
  const from = join(paths.inbox, candidate.name)
  try {
    const stats = statsOf(from)
    if (stats === undefined) return { kind: 'gone' }
    if (!stats.isFile()) return { kind: 'unfit', why: 'it is not a regular file' }
    const manifest = statsOf(`${from}${MANIFEST_SUFFIX}`)
    if (manifest === undefined) return await movePlain(candidate, paths, journal)
    if (!manifest.isFile()) return { kind: 'unfit', why: 'its manifest is not a regular file' }
    return await moveBoth(candidate, stats.size, paths, journal)
  } catch (error) {
    if (!hasCode(error, 'IO_FAILED')) throw error
    // Whatever part of it stands in work/ by now keeps its sequence, and is adopted from there.
    journal.skipSequences(journal.nextSequence)
    return { kind: 'stuck', why: `it cannot be looked at (${systemReason(error)})` }
  }
}

async function moveBoth(
  { name, announced, provenance, usedAtMs }: Candidate,
  sizeBytes: number,
  paths: StatePaths,
  journal: Journal,
): Promise<ClaimResult> {
  const sequence = journal.nextSequence
  const [from, to] = [join(paths.inbox, name), join(paths.work, workName(sequence, name))]
  const manifestStays = move(`${from}${MANIFEST_SUFFIX}`, `${to}${MANIFEST_SUFFIX}`)
  // Without one it is judged as a file that never had one.
  if (manifestStays?.isGone) return { kind: 'unsealed' }
  if (manifestStays) return { kind: 'stuck', why: `its manifest: ${manifestStays.why}` }
  crashPoint('P1-manifest-moved')
  const brought = await readAndMove(from, to)
  if ('found' in brought) {
    crashPoint('P1-data-moved')
    const { found } = brought
    const entry = newEntry({
      ...{ sequence, name, sizeBytes, found, announced, provenance, usedAtMs },
    })
    return { kind: 'claimed', entry }
  }
  // If a newer one stands there by now, this one is left in work/, under a sequence of its own.
  if (!moveWithoutReplacing(`${to}${MANIFEST_SUFFIX}`, `${from}${MANIFEST_SUFFIX}`)) {
    journal.skipSequences(sequence)
  }
  return brought.isGone ? { kind: 'gone' } : { kind: 'stuck', why: brought.why }
}

/** The manifest stands in work/ already: reads it there, and has its data follow. */
async function readAndMove(
  from: string,
  to: string,
): Promise<{ found: FoundManifest } | MoveFailure> {
  try {
    const found = await readFoundManifest(`${to}${MANIFEST_SUFFIX}`)
    const isThere = found.manifest !== undefined || found.problem !== undefined
    if (!isThere) return { isGone: false, why: 'somebody has taken its manifest out of work/' }
    return move(from, to) ?? { found }
  } catch (error) {
    return { isGone: false, why: `its manifest cannot be read (${systemReason(error)})` }
  }
}

async function movePlain(
  { name, announced, provenance, usedAtMs, sealed }: Candidate,
  paths: StatePaths,
  journal: Journal,
): Promise<ClaimResult> {
  const sequence = journal.nextSequence
  const [from, to] = [join(paths.inbox, name), join(paths.work, workName(sequence, name))]
  if (sealed === undefined || !isStill(sealed, from)) return { kind: 'unsealed' }
  const stays = move(from, to)
  if (stays?.isGone) return { kind: 'gone' }
  if (stays) return { kind: 'stuck', why: stays.why }
  crashPoint('P1-data-moved')
  if (!isStill(sealed, to)) {
    // If its name is taken again, it is left in work/, to be adopted from there.
    if (!moveWithoutReplacing(to, from)) journal.skipSequences(sequence)
    return { kind: 'unsealed' }
  }
  const sizeBytes = Number(sealed.size)
  const found = await fetchManifest(to, from, sizeBytes)
  return {
    kind: 'claimed',
    entry: newEntry({
      ...{ sequence, name, sizeBytes, found, announced, provenance, usedAtMs },
      identity: sealed,
    }),
  }
}

function isStill(identity: FileIdentity, path: string): boolean {
  const stats = exactStatsOf(path)
  return stats !== undefined && isSameFile(identity, identityOf(stats))
}

/** What an announcement says of its file's way; a manifest counts for more. */
export function announcedNow(
  { origin, publishedAtMs }: Pick<Announce, 'origin' | 'publishedAtMs'>,
  announcedAtMs: number,
): Provenance {
  return { origin: bytesOf(origin), publishedAtMs, announcedAtMs }
}

function bytesOf(hex: string | undefined): Uint8Array | undefined {
  return hex === undefined ? undefined : Buffer.from(hex, 'hex')
}

export function newEntry(facts: {
  sequence: number
  name: string
  sizeBytes: number
  found: FoundManifest
  announced: Expected | undefined
  provenance?: Provenance | undefined
  /** As it was announced; a manifest counts for more. */
  usedAtMs?: number | undefined
  /** Of a file that had no manifest when it was looked at. */
  identity?: FileIdentity
}): QueueEntry {
  const { manifest, problem } = facts.found
  const isPlain = manifest === undefined && problem === undefined
  const usedAtMs = manifest?.terms?.usedAtMs ?? facts.usedAtMs
  const terms = usedAtMs === undefined ? manifest?.terms : { ...manifest?.terms, usedAtMs }
  return {
    sequence: facts.sequence,
    name: facts.name,
    sizeBytes: facts.sizeBytes,
    claimedAtMs: Date.now(),
    expected: manifest ?? facts.announced,
    provenance: {
      origin: bytesOf(manifest?.origin) ?? facts.provenance?.origin,
      publishedAtMs: manifest?.publishedAtMs ?? facts.provenance?.publishedAtMs,
      announcedAtMs: facts.provenance?.announcedAtMs,
    },
    ...(terms === undefined ? {} : { terms }),
    manifestProblem: problem,
    disposable: manifest?.disposable ?? false,
    isPlain,
    identity: isPlain ? facts.identity : undefined,
    stage: 'claimed',
    digest: undefined,
    outcome: undefined,
    checkpoint: undefined,
    runName: undefined,
  }
}
