/**
 * How the journal's records look on disk: `version u8 | crc32 u32 | msgpack array`.
 *
 * The checksum is written and checked by us: a page that a disk or a crash garbled must be noticed
 * here, not as a wrong number. Arrays instead of maps, because a record is kept for every content
 * ever processed. A reader refuses versions it does not know.
 */

import { crc32 } from 'node:zlib'
import { Packr, Unpackr } from 'msgpackr'
import { CountersinkError } from '../../shared/errors.ts'

const RECORD_VERSION = 1
const HEADER_BYTES = 5

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false })

/** Keys of numbers sort as the numbers do. */
export function numberKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(number, 0, 6)
  return key
}

export function keyNumber(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(0, 6)
}

/** What is missing at the end takes no room. */
export function seal(fields: readonly unknown[]): Buffer {
  let used = fields.length
  while (used > 0 && fields[used - 1] === undefined) used -= 1
  const payload = packr.pack(used === fields.length ? fields : fields.slice(0, used))
  const record = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  record.writeUInt8(RECORD_VERSION, 0)
  record.writeUInt32BE(crc32(payload), 1)
  payload.copy(record, HEADER_BYTES)
  return record
}

export function unseal(record: Uint8Array, what: string): unknown {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength)
  const unreadable = (why: string): CountersinkError =>
    new CountersinkError('JOURNAL_UNREADABLE', `${what} in the journal cannot be read: ${why}`, {
      advice:
        'Stop countersink, move parser/journal away and start again: it is rebuilt from MariaDB.',
    })
  if (bytes.length <= HEADER_BYTES) throw unreadable(`it has ${bytes.length} bytes`)
  const version = bytes.readUInt8(0)
  if (version !== RECORD_VERSION) {
    throw unreadable(`its version is ${version}, this program knows ${RECORD_VERSION}`)
  }
  // A copy: LMDB's memory is only valid until the next transaction, and msgpackr aliases binary.
  const payload = Buffer.from(bytes.subarray(HEADER_BYTES))
  if (crc32(payload) !== bytes.readUInt32BE(1)) throw unreadable('its checksum is wrong')
  return unpackr.unpack(payload)
}
