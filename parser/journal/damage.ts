/**
 * LMDB trusts its file: one that is cut, or another, ends the process that opens it by a signal, which
 * tells nobody anything. So its two first pages are looked at before: what they are, and whether what
 * the newer one leads to is within the file. (Its end proves nothing: the last pages may never have been
 * written.)
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { shellWord } from '../../shared/printable.ts'

const DATA = 'data.mdb'
const MAGIC = 0xbeefc0de
/** Places within a page of LMDB's that leads to the others. */
const AT = { magic: 24, pageBytes: 48, roots: [88, 136], transaction: 152, end: 160 }
/** The root of a tree without anything in it. */
const NOWHERE = 2n ** 64n - 1n

/**
 * @returns whether there is a journal at all: one whose making was interrupted is none.
 * @throws CountersinkError JOURNAL_UNREADABLE
 */
export function isJournalThere(path: string): boolean {
  let fd: number
  try {
    fd = openSync(join(path, DATA), 'r')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
  try {
    const stats = fstatSync(fd)
    // LMDB knows what to say of a directory.
    if (!stats.isFile()) return true
    const { size } = stats
    if (size > 0 && !isWhole(fd, size)) throw damaged(path, size)
    return size > 0
  } finally {
    closeSync(fd)
  }
}

function isWhole(fd: number, size: number): boolean {
  const first = page(fd, 0)
  const pageBytes = first.readUInt32LE(AT.pageBytes)
  if (pageBytes === 0 || 2 * pageBytes > size) return false
  const both = [first, page(fd, pageBytes)]
  if (both.some(one => one.readUInt32LE(AT.magic) !== MAGIC)) return false
  const [older, newer] = both.map(one => one.readBigUInt64LE(AT.transaction)) as [bigint, bigint]
  const leading = both[newer > older ? 1 : 0]!
  return AT.roots
    .map(at => leading.readBigUInt64LE(at))
    .every(root => root === NOWHERE || root < BigInt(Math.floor(size / pageBytes)))
}

function page(fd: number, at: number): Buffer {
  const bytes = Buffer.alloc(AT.end)
  readSync(fd, bytes, 0, bytes.length, at)
  return bytes
}

function damaged(path: string, size: number): CountersinkError {
  const away = `mv ${shellWord(path)} ${shellWord(`${path}.damaged`)}`
  return new CountersinkError(
    'JOURNAL_UNREADABLE',
    `${join(path, DATA)} (${size} bytes) is cut, or no journal`,
    {
      advice: `Put it away (${away}): the next start makes another, from MariaDB's ledger.`,
      mend: [away],
    },
  )
}
