/**
 * Files in quarantine/ as a person names them, with what stands in their sidecars. A sidecar that is gone,
 * or that somebody has written into, is no reason not to find the file.
 */

import { readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { replaceFile } from '../../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import {
  givenName,
  MANIFEST_SUFFIX,
  parseSettledName,
  SIDECAR_SUFFIX,
  type StatePaths,
  sidecarPath,
} from '../../shared/paths.ts'
import { printableLines } from '../../shared/printable.ts'
import { readSmallFile } from '../../shared/secret-file.ts'
import { parseUsedAt } from '../../shared/terms.ts'

export interface Quarantined {
  readonly path: string
  /** As whoever brought it called it. */
  readonly name: string
  /** What was read; undefined: it never was, or nothing tells. */
  readonly sha256: string | undefined
  /** When what it tells of was used, as it was published; undefined: nothing was said. */
  readonly usedAtMs: number | undefined
}

/**
 * @param asked a path in quarantine/, a name there, the name that a file came with, or the beginning of
 *   its hash.
 * @throws CountersinkError USAGE when there is none, or several.
 */
export async function findQuarantined(paths: StatePaths, asked: string): Promise<Quarantined> {
  const { quarantine } = paths
  const entries = await entriesOf(quarantine)
  const isPath = asked.includes('/') && (await isIn(quarantine, asked))
  const entry = isPath ? basename(asked) : asked
  if (entries.includes(entry)) return quarantinedFile(quarantine, entry)
  const found: Quarantined[] = []
  if (!asked.includes('/')) {
    const isHash = /^[0-9a-f]{8,64}$/i.test(asked)
    for (const one of entries) {
      // The hash, as far as it goes, and the name are in the entry's own: few sidecars are read.
      const hashPrefix = parseSettledName(one)?.hashPrefix
      const mayBe = isHash && hashPrefix !== undefined && startsAlike(hashPrefix, asked)
      if (!mayBe && !one.startsWith(asked)) continue
      const file = await quarantinedFile(quarantine, one)
      const hash = file.sha256 ?? hashPrefix ?? ''
      if ((mayBe && startsAlike(hash, asked)) || file.name === asked) found.push(file)
    }
  }
  const [file, another] = found
  if (file === undefined) {
    throw new CountersinkError(
      'USAGE',
      `there is no ${JSON.stringify(asked)} in ${quarantine}: neither a name, nor the beginning of a SHA-256 (8 digits or more)`,
      { advice: '"countersink hashes --outcome quarantined" lists what was put there.' },
    )
  }
  if (another === undefined) return file
  const names = found.slice(0, NAMED_MAX).map(({ path }) => basename(path))
  throw new CountersinkError(
    'USAGE',
    `${JSON.stringify(asked)} fits ${found.length} files in ${quarantine}: ${names.join(', ')}${found.length > NAMED_MAX ? ', …' : ''}`,
    { advice: 'Name one of them.' },
  )
}

/** A file in quarantine/, and what its sidecar says. */
export interface QuarantinedFacts extends Quarantined {
  readonly entry: string
  readonly sizeBytes: number
  readonly fields: Readonly<Record<string, unknown>>
}

/**
 * Those whose names there come after `after`, in the order of these.
 *
 * @returns one more than `limit`, if there are more.
 */
export async function listQuarantined(
  { quarantine }: StatePaths,
  after: string,
  limit: number,
): Promise<QuarantinedFacts[]> {
  const found: QuarantinedFacts[] = []
  for (const entry of (await namesIn(quarantine)).filter(name => name > after).sort()) {
    const stats = statsIfLookedAt(join(quarantine, entry))
    if (!stats?.isFile()) continue
    const fields = (await fieldsOf(sidecarPath(quarantine, entry))) ?? {}
    const facts = quarantinedAs(quarantine, entry, fields)
    found.push({ ...facts, entry, sizeBytes: Number(stats.size), fields })
    if (found.length > limit) break
  }
  return found
}

/** Writes beside it that it was brought back, when, and as what. */
export async function noteRequeued(
  { path }: Quarantined,
  as: { readonly sha256: string; readonly name: string },
): Promise<void> {
  const sidecar = sidecarPath(dirname(path), basename(path))
  const fields = await fieldsOf(sidecar)
  if (fields === undefined) return
  const before = Array.isArray(fields.requeued) ? fields.requeued : []
  const requeued = [...before.slice(1 - NOTES_MAX), { ...as, at: new Date().toISOString() }]
  await replaceFile(
    sidecar,
    printableLines(`${JSON.stringify({ ...fields, requeued }, null, 2)}\n`),
  )
}

async function quarantinedFile(directory: string, entry: string): Promise<Quarantined> {
  return quarantinedAs(directory, entry, (await fieldsOf(sidecarPath(directory, entry))) ?? {})
}

function quarantinedAs(
  directory: string,
  entry: string,
  { name, sha256, usedAt }: Readonly<Record<string, unknown>>,
): Quarantined {
  const hash = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined
  const parsed = parseSettledName(entry)?.name ?? entry.replace(/\.unread\.\d+$/, '')
  const came = typeof name === 'string' && name !== '' ? name : parsed
  return {
    path: join(directory, entry),
    name: hash === undefined ? came : givenName(came, hash),
    sha256: hash,
    usedAtMs: typeof usedAt === 'string' ? parseUsedAt(usedAt) : undefined,
  }
}

/** What a sidecar says; undefined: there is none that can be read. */
/** undefined: nothing of ours stands there. Whatever else does is not read to its end, nor waited for. */
async function fieldsOf(path: string): Promise<Record<string, unknown> | undefined> {
  try {
    const fields: unknown = JSON.parse(readSmallFile(path, 'the reason').text)
    return typeof fields === 'object' && fields !== null ? { ...fields } : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    const cause = hasCode(error, 'CONFIG_INVALID') ? toError(error).cause : error
    // A name of 255 bytes has no room for a reason beside it.
    if (cause === undefined || hasCode(cause, ...NOTHING_THERE)) return undefined
    throw error
  }
}

const NOTHING_THERE = ['ENOENT', 'EACCES', 'ENAMETOOLONG', 'ELOOP', 'ENXIO'] as const

async function entriesOf(directory: string): Promise<string[]> {
  const names = await namesIn(directory)
  return names.filter(name => statsIfLookedAt(join(directory, name))?.isFile())
}

/** Of files, and of what stands there besides. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory)
    return names.filter(name => !name.endsWith(SIDECAR_SUFFIX) && !name.endsWith(MANIFEST_SUFFIX))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function isIn(directory: string, path: string): Promise<boolean> {
  try {
    return (await realpath(dirname(path))) === (await realpath(directory))
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false
    throw error
  }
}

function startsAlike(one: string, other: string): boolean {
  const digits = Math.min(one.length, other.length)
  return one.slice(0, digits) === other.slice(0, digits).toLowerCase()
}

const NAMED_MAX = 5
/** Of one file, the newest. */
const NOTES_MAX = 10
