/**
 * How the archive is laid out: `YYYY/MM/DD/NAME.HASH12.EXT`, by the UTC day on which a file was settled.
 *
 * The digits of the hash keep equal names of other contents apart, and stand before the ending, by which
 * people and programs know what a file is. Where the name is taken all the same, the file's sequence
 * behind the digits makes it one that nobody else has. A name that would be too long is cut before them;
 * what its maker called the file is in the ledger. Earlier versions had one flat directory (`settledName`).
 */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from './errors.ts'
import { cutName, ENTRY_BYTES_MAX, givenName, MANIFEST_SUFFIX, sequenceText } from './paths.ts'

/** The directory of a moment's day, below that of the archive. */
export function archiveDay(settledAtMs: number): string {
  return new Date(settledAtMs).toISOString().slice(0, 10).replaceAll('-', '/')
}

/** The name of an archived file in the directory of its day. */
export function archivedName(name: string, sha256: Uint8Array, sequence?: number): string {
  const hex = Buffer.from(sha256).toString('hex')
  const given = givenName(name, hex)
  const ending = endingOf(given)
  const stem = given.slice(0, given.length - ending.length)
  const own = sequence === undefined ? '' : `.${sequenceText(sequence)}`
  const cut = cutName(stem, NAME_BYTES - ending.length)
  return `${cut}.${hex.slice(0, HASH_DIGITS)}${own}${ending}`
}

/** The reverse of `archivedName`, but for what was cut; undefined for what the parser did not put there. */
export function parseArchivedName(
  entry: string,
): { readonly name: string; readonly hashPrefix: string } | undefined {
  const [, stem, hashPrefix, ending = ''] = ARCHIVED.exec(entry) ?? []
  if (stem === undefined || hashPrefix === undefined) return undefined
  return { name: `${stem}${ending}`, hashPrefix }
}

/** What is below that of the archive: the flat one of earlier versions (''), then each day's. */
export async function* archiveDirectories(archive: string): AsyncGenerator<string> {
  yield ''
  for (const year of await numbered(archive, 4)) {
    for (const month of await numbered(join(archive, year), 2)) {
      const directory = join(year, month)
      for (const day of await numbered(join(archive, directory), 2)) yield join(directory, day)
    }
  }
}

/** In ascending order; none where there is no directory. */
async function numbered(path: string, digits: number): Promise<string[]> {
  try {
    const names = await readdir(path)
    return names.filter(name => name.length === digits && /^\d+$/.test(name)).sort()
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

/**
 * What tells the kind of a file, and nothing that could be taken for digits of a hash or a sequence: a
 * few letters and digits, of a packed file those before it too (`.txt.gz`). A date or a number is none.
 */
function endingOf(name: string): string {
  return ENDING.exec(name)?.[1] ?? ''
}

const HASH_DIGITS = 12
const KIND = String.raw`\.(?=[A-Za-z0-9]{0,9}[A-Za-z])[A-Za-z0-9]{1,10}`
const ENDING = new RegExp(
  String.raw`[^/]((?:${KIND}(?=\.(?:gz|bz2|xz|zst|lz4|lzma|br|Z)$))?${KIND})$`,
  's',
)
const ARCHIVED = new RegExp(String.raw`^(.+)\.([0-9a-f]{12})(?:\.\d{15})?((?:${KIND}){0,2})$`, 's')
/** Leaves room for hash, sequence, and a manifest's ending. */
const NAME_BYTES =
  ENTRY_BYTES_MAX - `.${'0'.repeat(HASH_DIGITS)}.${sequenceText(0)}${MANIFEST_SUFFIX}`.length
