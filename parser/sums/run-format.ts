/**
 * The bytes of a run file: pairs of consumer id and sum, ascending by id, each id once.
 *
 *     header   a text of `headerBytes` (a multiple of 4096): `countersink-run 1 00004096`, line
 *              feed, a JSON object, spaces, the CRC-32 of all that in 8 hex digits, line feed
 *     block*   of 4096 pairs, the last of 1 to 4096:
 *              ids (u64 LE each) | their sums (u64 LE each) | trailer of four u32 LE:
 *              block number, pairs in it, 0, CRC-32 of the block up to here
 *
 * Within a block ids stand apart from sums, so that both are used as arrays where they are read.
 * All blocks but the last have one size: where a block begins follows from its number, and a pair
 * is found by binary search. A block's CRC starts from a number drawn for its run, so that a block
 * of another run, or of another place in this one, does not pass for it.
 */

import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { CountersinkError } from '../../shared/errors.ts'
import { parseU64, parseU128 } from '../../shared/numbers.ts'
import type { PairChunk } from './sums.ts'

/** What a run says of itself. */
export interface RunLabel {
  /** Whose sums these are, all or a part of them: the runs' prefix of a work file. */
  readonly owner: string
}

/** A label and what is known once all pairs are written. */
export interface RunFacts extends RunLabel {
  readonly pairs: number
  readonly amount: bigint
  readonly largestSum: bigint
}

export interface RunHeader {
  readonly facts: RunFacts
  /** What the CRC of each block starts from. */
  readonly seed: number
  readonly headerBytes: number
}

export const BLOCK_PAIRS = 4096
const TRAILER_BYTES = 16
export const BLOCK_BYTES = BLOCK_PAIRS * 16 + TRAILER_BYTES
/** A header's size is a multiple of this, and reading this much tells its size. */
export const HEADER_BYTES_MIN = 4096
const HEADER_BYTES_MAX = 1024 * 1024

/** Earlier versions had runs of a `batch` too, which named its members; these serve nobody any more. */
const KIND = 'file'
const FIRST_LINE = /^countersink-run 1 (\d{8})\n/
const FIRST_LINE_BYTES = 27
/** 8 hex digits and a line feed. */
const HEADER_CRC_BYTES = 9
/** Numbers as long as they can get: a header's size is fixed before they are known. */
const WIDEST = { pairs: Number.MAX_SAFE_INTEGER, amount: 2n ** 128n - 1n, largestSum: 2n ** 64n }

/** Names that runs can have: no path, not hidden, not a tmp file's. */
export function isRunName(name: string): boolean {
  return /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}\.run$/.test(name)
}

/** How large the header of a run of this label is, whatever its pairs will be. */
export function headerBytesFor(label: RunLabel): number {
  const text = headerJson({ ...label, ...WIDEST }, 2 ** 32)
  const bytes = FIRST_LINE_BYTES + Buffer.byteLength(text) + HEADER_CRC_BYTES
  const headerBytes = Math.ceil(bytes / HEADER_BYTES_MIN) * HEADER_BYTES_MIN
  assert(headerBytes <= HEADER_BYTES_MAX, `the owner ${label.owner.slice(0, 100)} is too long`)
  return headerBytes
}

export function encodeHeader({ facts, seed, headerBytes }: RunHeader): Uint8Array {
  const bytes = Buffer.alloc(headerBytes, ' ')
  bytes.write(`countersink-run 1 ${String(headerBytes).padStart(8, '0')}\n`)
  bytes.write(headerJson(facts, seed), FIRST_LINE_BYTES)
  const crcAt = headerBytes - HEADER_CRC_BYTES
  const crc = crc32(bytes.subarray(0, crcAt))
  bytes.write(`${crc.toString(16).padStart(8, '0')}\n`, crcAt)
  return bytes
}

function headerJson(facts: RunFacts, seed: number): string {
  const { owner, pairs, amount, largestSum } = facts
  const sums = { amount: String(amount), largestSum: String(largestSum) }
  return JSON.stringify({ kind: KIND, owner, pairs, ...sums, seed, members: [] })
}

/** The size of the header that begins like this. @throws CountersinkError RUN_UNREADABLE */
export function readHeaderBytes(start: Uint8Array, path: string): number {
  const headerBytes = Number(FIRST_LINE.exec(Buffer.from(start).toString('latin1', 0, 64))?.[1])
  const fits = headerBytes % HEADER_BYTES_MIN === 0 && headerBytes <= HEADER_BYTES_MAX
  if (!fits || headerBytes === 0) throw unreadable(path, 'it does not begin like a run')
  return headerBytes
}

/** Checks a whole header, and the file's size against it. @throws CountersinkError RUN_UNREADABLE */
export function decodeHeader(bytes: Uint8Array, fileBytes: number, path: string): RunHeader {
  const text = Buffer.from(bytes).toString('latin1')
  const crcAt = bytes.length - HEADER_CRC_BYTES
  const crc = crc32(bytes.subarray(0, crcAt)).toString(16).padStart(8, '0')
  if (text.slice(crcAt) !== `${crc}\n`) throw unreadable(path, 'its header is garbled')
  const header = parseHeader(Buffer.from(bytes).toString('utf8', FIRST_LINE_BYTES, crcAt))
  if (header === undefined) throw unreadable(path, 'its header is not understood')
  const expectedBytes = bytes.length + bodyBytes(header.facts.pairs)
  if (fileBytes !== expectedBytes) {
    throw unreadable(path, `it has ${fileBytes} bytes, expected ${expectedBytes}`)
  }
  return { ...header, headerBytes: bytes.length }
}

function parseHeader(json: string): Omit<RunHeader, 'headerBytes'> | undefined {
  const { kind, owner, pairs, amount, largestSum, seed } = JSON.parse(json)
  const total = parseU128(String(amount))
  const largest = parseU64(String(largestSum))
  if (kind !== KIND) return undefined
  if (!Number.isSafeInteger(pairs) || !Number.isSafeInteger(seed)) return undefined
  if (typeof owner !== 'string' || total === undefined || largest === undefined) return undefined
  return { facts: { owner, pairs, amount: total, largestSum: largest }, seed }
}

export function blocksOf(pairs: number): number {
  return Math.ceil(pairs / BLOCK_PAIRS)
}

function bodyBytes(pairs: number): number {
  return pairs * 16 + blocksOf(pairs) * TRAILER_BYTES
}

/** Where blocks `first..first+count-1` stand in the file, as far as there are so many. */
export function spanOf({ facts, headerBytes }: RunHeader, first: number, count: number) {
  const positionBytes = headerBytes + first * BLOCK_BYTES
  const endBytes = headerBytes + bodyBytes(facts.pairs)
  return { positionBytes, bytes: Math.min(count * BLOCK_BYTES, endBytes - positionBytes) }
}

/** Completes a block of `pairs` pairs, whose ids and sums are in place, by its trailer. */
export function sealBlock(block: Uint8Array, index: number, pairs: number, seed: number): void {
  const trailer = new DataView(block.buffer, block.byteOffset + pairs * 16, TRAILER_BYTES)
  trailer.setUint32(0, index, true)
  trailer.setUint32(4, pairs, true)
  trailer.setUint32(8, 0, true)
  trailer.setUint32(12, crc32(block.subarray(0, pairs * 16 + 12), seed), true)
}

/**
 * The pairs of block `index`, a view of `bytes`, which begin at a multiple of 8 in their buffer.
 * @throws CountersinkError RUN_UNREADABLE
 */
export function openBlock(
  { facts, seed }: RunHeader,
  index: number,
  bytes: Uint8Array,
  path: string,
): PairChunk {
  const pairs = Math.min(BLOCK_PAIRS, facts.pairs - index * BLOCK_PAIRS)
  const { buffer, byteOffset } = bytes
  const trailer = new DataView(buffer, byteOffset + pairs * 16, TRAILER_BYTES)
  const isWhole =
    trailer.getUint32(0, true) === index &&
    trailer.getUint32(4, true) === pairs &&
    trailer.getUint32(12, true) === crc32(bytes.subarray(0, pairs * 16 + 12), seed)
  if (!isWhole) throw unreadable(path, `its block ${index} is garbled`)
  return {
    ids: new BigUint64Array(buffer, byteOffset, pairs),
    amounts: new BigUint64Array(buffer, byteOffset + pairs * 8, pairs),
  }
}

export function unreadable(path: string, why: string, cause?: unknown): CountersinkError {
  return new CountersinkError('RUN_UNREADABLE', `run ${path}: ${why}`, { cause })
}

// A block's arrays are views of it, so each must begin at a multiple of 8.
assert.equal(BLOCK_BYTES % 8, 0)
