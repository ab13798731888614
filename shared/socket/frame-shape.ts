import { CountersinkError } from '../errors.ts'

/**
 * Looks a payload over before it is decoded, in one pass that keeps nothing: a peer's frame must cost
 * no more than its length suggests, and msgpack alone does not promise that. What passes is exactly
 * one value made of nil, booleans, numbers, texts, bytes, lists and maps with texts as keys.
 *
 * - No extension: in msgpackr's dialect these are references and records (a value of 64 KiB can then
 *   be gigabytes when it is walked), typed arrays, patterns and dates. None is in our protocol.
 * - No list or map announces more than the frame holds, none is deep, and a map has few keys (an
 *   object whose keys were chosen to collide takes the square of their number).
 */
export function assertPlainValue(payload: Uint8Array): void {
  const end = skipValue(payload, 0, 0)
  if (end !== payload.length) {
    throw unreadable(`${payload.length - end} bytes follow the value`)
  }
}

/** The deepest message of ours has five. */
const DEPTH_MAX = 16
/** The longest map of ours has some twenty. */
const MAP_ENTRIES_MAX = 256

/** Bytes of the payload of each kind that has a fixed length, by first byte. */
const FIXED_BYTES: ReadonlyMap<number, number> = new Map([
  ...([0xc0, 0xc2, 0xc3] as const).map(tag => [tag, 0] as const),
  ...([0xca, 0xce, 0xd2] as const).map(tag => [tag, 4] as const),
  ...([0xcb, 0xcf, 0xd3] as const).map(tag => [tag, 8] as const),
  ...([0xcc, 0xd0] as const).map(tag => [tag, 1] as const),
  ...([0xcd, 0xd1] as const).map(tag => [tag, 2] as const),
])

/** @returns where the value that begins at `at` ends. */
function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  const tag = byteAt(bytes, at)
  const next = at + 1
  if (tag < 0x80 || tag >= 0xe0) return next
  if (tag < 0x90) return skipMap(bytes, next, tag & 0x0f, depth)
  if (tag < 0xa0) return skipList(bytes, next, tag & 0x0f, depth)
  if (tag < 0xc0) return skipBytes(bytes, next, tag & 0x1f)
  const fixed = FIXED_BYTES.get(tag)
  if (fixed !== undefined) return skipBytes(bytes, next, fixed)
  switch (tag) {
    case 0xc4:
    case 0xd9:
      return skipBytes(bytes, next + 1, lengthAt(bytes, next, 1))
    case 0xc5:
    case 0xda:
      return skipBytes(bytes, next + 2, lengthAt(bytes, next, 2))
    case 0xc6:
    case 0xdb:
      return skipBytes(bytes, next + 4, lengthAt(bytes, next, 4))
    case 0xdc:
      return skipList(bytes, next + 2, lengthAt(bytes, next, 2), depth)
    case 0xdd:
      return skipList(bytes, next + 4, lengthAt(bytes, next, 4), depth)
    case 0xde:
      return skipMap(bytes, next + 2, lengthAt(bytes, next, 2), depth)
    case 0xdf:
      return skipMap(bytes, next + 4, lengthAt(bytes, next, 4), depth)
    default:
      throw unreadable(`a value of kind 0x${tag.toString(16)} is not taken`)
  }
}

function skipList(bytes: Uint8Array, from: number, length: number, depth: number): number {
  assertShallow(depth)
  // Each entry takes a byte at least: what announces more is refused before anything is counted.
  skipBytes(bytes, from, length)
  let at = from
  for (let i = 0; i < length; i += 1) at = skipValue(bytes, at, depth + 1)
  return at
}

function skipMap(bytes: Uint8Array, from: number, entries: number, depth: number): number {
  assertShallow(depth)
  if (entries > MAP_ENTRIES_MAX) {
    throw unreadable(`a map of ${entries} entries; at most ${MAP_ENTRIES_MAX} are taken`)
  }
  let at = from
  for (let i = 0; i < entries; i += 1) {
    if (!isText(byteAt(bytes, at))) throw unreadable('a key that is not a text')
    at = skipValue(bytes, skipValue(bytes, at, depth + 1), depth + 1)
  }
  return at
}

function isText(tag: number): boolean {
  return (tag >= 0xa0 && tag < 0xc0) || (tag >= 0xd9 && tag <= 0xdb)
}

function skipBytes(bytes: Uint8Array, at: number, length: number): number {
  if (at + length > bytes.length) throw unreadable('it ends in the middle of a value')
  return at + length
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw unreadable('it ends in the middle of a value')
  return byte
}

/** A length of so many bytes, big-endian. */
function lengthAt(bytes: Uint8Array, at: number, width: number): number {
  let length = 0
  for (let i = 0; i < width; i += 1) length = length * 256 + byteAt(bytes, at + i)
  return length
}

function assertShallow(depth: number): void {
  if (depth >= DEPTH_MAX) throw unreadable(`lists and maps are deeper than ${DEPTH_MAX}`)
}

function unreadable(why: string): CountersinkError {
  return new CountersinkError(
    'FRAME_UNREADABLE',
    `the frame is not one plain msgpack value: ${why}`,
  )
}
