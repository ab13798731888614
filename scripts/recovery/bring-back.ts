import { link, open, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import {
  makeDirectories,
  syncDirectories,
  syncDirectory,
  writeSynced,
} from '../../shared/durable.ts'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { NAME_BYTES_MAX } from '../../shared/limits.ts'
import { exactStatsOf, isOneInode } from '../../shared/looks.ts'
import { formatManifest } from '../../shared/manifest.ts'
import {
  classifyName,
  cutName,
  MANIFEST_SUFFIX,
  PUBLISHED_HASH_DIGITS,
  publishedName,
  type StatePaths,
} from '../../shared/paths.ts'
import { parseRejectLimit } from '../../shared/reject-limit.ts'
import { isTimeOfUsage } from '../../shared/terms.ts'
import type { ArchivedFile } from './archived-files.ts'

/** An archived file, and what it was found to hold. */
export interface Returning {
  readonly file: ArchivedFile
  readonly sha256: string
  readonly sizeBytes: number
  /** When what it tells of was used; undefined: nothing knows. */
  readonly usedAtMs?: number | undefined
}

/**
 * Moves files from the archive into the inbox, each behind a manifest that vouches for it: it is
 * whole, though its last line may have no line end, and a generated one may be deleted again. Nothing
 * that stands in the inbox is written over: where a name is taken, the hash is put behind it.
 *
 * Steps, and what a crash after each leaves of a group:
 *
 *   R1  manifests linked in, synced    Manifests without data, and hidden drafts. The next run sweeps
 *                                      these, and finds those to be what it would write itself.
 *   R2  data linked in, synced         One file under two names, which the next run finds.
 *   R3  archive left, synced           It is back.
 */
export async function bringBack(
  group: readonly Returning[],
  /** Files that a run which was interrupted has brought to R2; a parser may have claimed them since. */
  linked: readonly ArchivedFile[],
  paths: StatePaths,
): Promise<void> {
  if (group.length + linked.length === 0) return
  await linkIn(group, paths)
  const files = [...group.map(({ file }) => file), ...linked]
  for (const file of files) {
    await rm(archivedPath(file))
    crashPoint('R3-archive-left')
  }
  await syncDirectories(...files.map(file => dirname(archivedPath(file))))
  crashPoint('R3-archive-synced')
}

/** What a run that was interrupted may have left, and nobody needs. */
export async function sweepDrafts(paths: StatePaths): Promise<void> {
  await rm(draftsPath(paths), { recursive: true, force: true })
}

/** R1 and R2. */
async function linkIn(group: readonly Returning[], paths: StatePaths): Promise<void> {
  const { inbox, work } = paths
  await makeDirectories(draftsPath(paths))
  const drafts = await Promise.all(
    group.map((one, i) => draft(one, join(draftsPath(paths), `${i}`))),
  )
  const vouched: Vouched[] = []
  for (const [i, one] of group.entries()) vouched.push(await vouchFor(one, drafts[i]!, inbox))
  await syncDirectory(inbox)
  for (const [i, one] of group.entries()) {
    for (let place = vouched[i]!; !(await linkData(one, place)); ) {
      // Somebody has put a file of this name there meanwhile, which is not what the manifest says.
      if (place.isNew) await rm(`${place.path}${MANIFEST_SUFFIX}`, { force: true })
      place = await vouchFor(one, drafts[i]!, inbox)
      await syncDirectory(inbox)
    }
    crashPoint('R2-data-linked')
  }
  await sweepDrafts(paths)
  // Where a parser has claimed one meanwhile, its name is in work/.
  await syncDirectories(inbox, work)
  crashPoint('R2-data-synced')
}

/** Its manifest, under a hidden name first so that it is whole when it appears. */
interface Draft {
  readonly path: string
  readonly text: string
}

/** What is vouched for, and the word for it, are on the disk on return. */
async function draft(
  { file, sha256, sizeBytes, usedAtMs }: Returning,
  path: string,
): Promise<Draft> {
  const archived = await open(archivedPath(file))
  try {
    await archived.sync()
  } finally {
    await archived.close()
  }
  const { disposable } = file
  const text = formatManifest({
    sizeBytes,
    sha256,
    lines: undefined,
    amount: undefined,
    disposable,
    terms: {
      rejectLines: AS_BEFORE,
      ...(usedAtMs !== undefined && isTimeOfUsage(usedAtMs) ? { usedAtMs } : {}),
    },
  })
  await writeSynced(path, text)
  crashPoint('R1-manifest-written')
  return { path, text }
}

/** It was counted once: whichever of its lines were put aside then are so again. */
const AS_BEFORE = parseRejectLimit('100%')!

interface Vouched {
  /** Where the data will stand in the inbox. */
  readonly path: string
  /** Its manifest did not stand there before. */
  readonly isNew: boolean
}

/** R1: the first name for which there is neither other data nor another manifest. */
async function vouchFor(one: Returning, draft: Draft, inbox: string): Promise<Vouched> {
  const archived = exactStatsOf(archivedPath(one.file))
  for (const name of namesFor(one)) {
    const path = join(inbox, name)
    const stats = exactStatsOf(path)
    if (stats !== undefined && !(archived && isOneInode(stats, archived))) continue
    const manifest = `${path}${MANIFEST_SUFFIX}`
    const isNew = await linkedNew(draft.path, manifest)
    crashPoint('R1-manifest-linked')
    if (isNew || (await hasText(manifest, draft.text))) return { path, isNew }
  }
  throw new CountersinkError('IO_FAILED', `every name for ${one.file.entry} in ${inbox} is taken`, {
    advice: 'Let the parser take what stands there, and run it again.',
  })
}

/** R2. false: the name is taken by another file. */
async function linkData({ file }: Returning, { path }: Vouched): Promise<boolean> {
  if (await linkedNew(archivedPath(file), path)) return true
  const [there, archived] = [exactStatsOf(path), exactStatsOf(archivedPath(file))]
  return there !== undefined && archived !== undefined && isOneInode(there, archived)
}

/**
 * Its own name, if it may stand in the inbox; then, as of any published file, with more and more digits of
 * its hash: so the ledger has its own name all the same.
 */
function* namesFor({ file: { name }, sha256 }: Returning): Generator<string> {
  if (classifyName(name) === 'data') yield name
  const visible = name.replace(/^\.+/, '') || 'file'
  for (let digits = PUBLISHED_HASH_DIGITS; digits <= sha256.length; digits += 1) {
    yield publishedName(cutName(visible, NAME_BYTES_MAX - digits - 1), sha256, digits)
  }
}

function draftsPath(paths: StatePaths): string {
  return join(paths.inbox, '.recover')
}

/** A link, unlike a rename, never replaces what stands there. */
async function linkedNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

async function hasText(path: string, text: string): Promise<boolean> {
  try {
    return (await readFile(path, 'utf8')) === text
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EISDIR', 'ELOOP', 'EACCES')) return false
    throw error
  }
}

function archivedPath({ directory, entry }: ArchivedFile): string {
  return join(directory, entry)
}
