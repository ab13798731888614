import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { CountersinkError, hasCode } from './errors.ts'
import { TIME_MS_MAX } from './limits.ts'
import { parseU128 } from './numbers.ts'
import { parseTerms, type Terms, termsFields } from './terms.ts'

/**
 * Control totals that stand beside a data file as `NAME.manifest.json`. The manifest is the
 * announcement on disk: synced and renamed in before the data, so a data file that has one is
 * complete by construction, and its numbers survive a dead generator and a lost journal.
 */
export interface Manifest {
  readonly sizeBytes: number
  /** Lower-case hex. */
  readonly sha256: string
  /** undefined: the maker copied the file without looking into it. */
  readonly lines: number | undefined
  readonly amount: bigint | undefined
  /** The maker can do without the file once it is counted: the archive limit may delete it. */
  readonly disposable: boolean
  /** Names this publication, 32 digits of hex: the same content published again has another. */
  readonly origin?: string
  readonly publishedAtMs?: number
  readonly terms?: Terms
}

const MANIFEST_VERSION = 1
/** A manifest is a few hundred bytes; a larger file under that name is not one. */
const MANIFEST_BYTES_MAX = 4_096

export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify({
    version: MANIFEST_VERSION,
    size: manifest.sizeBytes,
    sha256: manifest.sha256,
    lines: manifest.lines,
    amount: manifest.amount?.toString(),
    ...(manifest.disposable ? { disposable: true } : {}),
    ...(manifest.origin === undefined ? {} : { origin: manifest.origin }),
    ...(manifest.publishedAtMs === undefined
      ? {}
      : { published: new Date(manifest.publishedAtMs).toISOString() }),
    ...termsFields(manifest.terms ?? {}),
  })}\n`
}

/** @throws CountersinkError MANIFEST_INVALID naming the field. Unknown fields are ignored. */
export function parseManifest(text: string): Manifest {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (cause) {
    throw invalid('it is not JSON', cause)
  }
  if (typeof fields !== 'object' || fields === null) throw invalid('it is not a JSON object')
  const { version, size, sha256, lines, amount, disposable, origin, published } = fields as Record<
    string,
    unknown
  >
  if (version !== MANIFEST_VERSION) {
    throw invalid(`version must be ${MANIFEST_VERSION}, got ${JSON.stringify(version)}`)
  }
  if (!isCount(size)) throw invalid(`size must be a whole number, got ${JSON.stringify(size)}`)
  if (lines !== undefined && !isCount(lines))
    throw invalid(`lines must be a whole number, got ${JSON.stringify(lines)}`)
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw invalid(`sha256 must be 64 lower-case hex digits, got ${JSON.stringify(sha256)}`)
  }
  const total = typeof amount === 'string' ? parseU128(amount) : undefined
  if (amount !== undefined && total === undefined) {
    throw invalid(`amount must be a decimal string, got ${JSON.stringify(amount)}`)
  }
  if (origin !== undefined && !isOrigin(origin)) {
    throw invalid(`origin must be 32 lower-case hex digits, got ${JSON.stringify(origin)}`)
  }
  const publishedAtMs = typeof published === 'string' ? Date.parse(published) : Number.NaN
  if (published !== undefined && !(publishedAtMs >= 0 && publishedAtMs <= TIME_MS_MAX)) {
    throw invalid(
      `published must be a time like 2026-01-31T23:59:59Z, from 1970 to 9999, got ${JSON.stringify(published)}`,
    )
  }
  const terms = parseTerms(fields, invalid)
  return {
    ...{ sizeBytes: size, sha256, lines, amount: total, disposable: disposable === true },
    ...(origin === undefined ? {} : { origin }),
    ...(published === undefined ? {} : { publishedAtMs }),
    ...(terms === undefined ? {} : { terms }),
  }
}

/** What a manifest says of how its file was published. */
export type Publication = Required<Pick<Manifest, 'origin' | 'publishedAtMs'>>

/** For something that is published now. */
export function newPublication(): Publication {
  return { origin: randomBytes(16).toString('hex'), publishedAtMs: Date.now() }
}

/**
 * The manifest at `path`, or undefined when none stands there. Reads at once: a few hundred bytes
 * that were just written come much faster than the thread pool answers.
 */
export async function readManifest(path: string): Promise<Manifest | undefined> {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (hasCode(error, 'ELOOP')) throw invalid('it is a link', error)
    if (hasCode(error, 'EACCES', 'EPERM')) throw invalid('it may not be read', error)
    throw error
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw invalid('it is not a regular file')
    if (stats.size > MANIFEST_BYTES_MAX) {
      throw invalid(`it has ${stats.size} bytes, at most ${MANIFEST_BYTES_MAX} are allowed`)
    }
    // No more than that, however it grows meanwhile.
    const bytes = Buffer.alloc(MANIFEST_BYTES_MAX)
    return parseManifest(bytes.toString('utf8', 0, readSync(fd, bytes, { position: 0 })))
  } finally {
    closeSync(fd)
  }
}

function isOrigin(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function invalid(why: string, cause?: unknown): CountersinkError {
  return new CountersinkError('MANIFEST_INVALID', `the manifest cannot be used: ${why}`, { cause })
}
