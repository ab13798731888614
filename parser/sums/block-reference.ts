/**
 * Packed blocks as block-format.ts describes them, written for reading: the kernel is checked
 * against this, and who has no kernel can use it. Slow: a bigint or two for each field.
 */

import {
  assertFacts,
  assertWhole,
  type BlockDefect,
  blockCrc,
  defective,
  GROUP_PAIRS,
  PACKED_BYTES_MAX,
  PACKED_FORMAT,
  PACKED_HEADER_BYTES,
  PACKED_PAIRS_MAX,
  type PackedBlock,
} from './block-format.ts'
import type { PairChunk } from './sums.ts'

const BITS_MAX = 64
const U64_MAX = 2n ** 64n - 1n

type Pair = readonly [id: bigint, amount: bigint]

/** The blocks of these ascending pairs. */
export function packPlainly(hash: Uint8Array, { ids, amounts }: PairChunk): PackedBlock[] {
  const blocks: PackedBlock[] = []
  for (let at = 0; at < ids.length; ) {
    const end = at + PACKED_PAIRS_MAX
    const pairs = Array.from(ids.subarray(at, end), (id, i): Pair => [id, amounts[at + i]!])
    const block = packFirst(hash, pairs)
    blocks.push(block)
    at += block.pairs
  }
  return blocks
}

/** A block of as many of these pairs, from the first on, as it can take. */
function packFirst(hash: Uint8Array, pairs: readonly Pair[]): PackedBlock {
  const firstId = pairs[0]![0]
  const bytes = [PACKED_FORMAT, ...bytesOf(firstId, 8)]
  let count = 0
  while (count < pairs.length) {
    const before = count === 0 ? firstId - 1n : pairs[count - 1]![0]
    const group = pairs.slice(count, count + GROUP_PAIRS)
    const whole = packGroup(before, group)
    const room = PACKED_BYTES_MAX - bytes.length
    if (whole.length <= room) {
      bytes.push(...whole)
      count += group.length
      continue
    }
    let fitting = 0
    while (packGroup(before, group.slice(0, fitting + 1)).length <= room) fitting += 1
    if (fitting > 0) bytes.push(...packGroup(before, group.slice(0, fitting)))
    count += fitting
    break
  }
  const taken = pairs.slice(0, count)
  const amount = taken.reduce((sum, [, more]) => sum + more, 0n)
  const block = Uint8Array.from(bytes)
  const crc = blockCrc(hash, firstId, block)
  return { firstId, lastId: taken.at(-1)![0], pairs: count, amount, crc, bytes: block }
}

function packGroup(before: bigint, pairs: readonly Pair[]): number[] {
  const gaps = pairs.map(([id], i) => id - (i === 0 ? before : pairs[i - 1]![0]) - 1n)
  const least = pairs.reduce((less, [, amount]) => (amount < less ? amount : less), U64_MAX)
  const amounts = pairs.map(([, amount]) => amount - least)
  const gapWidth = widthOf(gaps)
  const amountWidth = widthOf(amounts)
  const fields = [...packFields(gaps, gapWidth), ...packFields(amounts, amountWidth)]
  return [gapWidth, amountWidth, ...varint(least), ...fields]
}

/** The bits that the largest of these numbers needs. */
function widthOf(numbers: readonly bigint[]): number {
  const largest = numbers.reduce((most, number) => (number > most ? number : most), 0n)
  return largest === 0n ? 0 : largest.toString(2).length
}

function packFields(numbers: readonly bigint[], width: number): number[] {
  const all = numbers.reduceRight((bits, number) => (bits << BigInt(width)) | number, 0n)
  return bytesOf(all, fieldBytes(numbers.length, width))
}

function fieldBytes(count: number, width: number): number {
  return Math.ceil((count * width) / 8)
}

function bytesOf(number: bigint, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((number >> BigInt(8 * i)) & 0xffn))
}

function varint(number: bigint): number[] {
  return number < 128n ? [Number(number)] : [Number(number & 127n) | 128, ...varint(number >> 7n)]
}

/** The pairs of a block of this content. @throws CountersinkError BLOCK_UNREADABLE */
export function unpackPlainly(hash: Uint8Array, block: PackedBlock): PairChunk {
  assertWhole(block, hash)
  const pairs = unpackAll(block)
  const [firstId] = pairs[0]!
  const [lastId] = pairs.at(-1)!
  assertFacts(block, { firstId, lastId, amount: pairs.reduce((sum, [, more]) => sum + more, 0n) })
  return {
    ids: BigUint64Array.from(pairs, ([id]) => id),
    amounts: BigUint64Array.from(pairs, ([, amount]) => amount),
  }
}

function unpackAll(block: PackedBlock): Pair[] {
  const bytes = new Bytes(block)
  if (bytes.left < PACKED_HEADER_BYTES || bytes.next() !== PACKED_FORMAT)
    throw bytes.defect('format')
  const firstId = bytes.number(8)
  const pairs: Pair[] = []
  let id = firstId - 1n
  while (pairs.length < block.pairs) {
    const count = Math.min(GROUP_PAIRS, block.pairs - pairs.length)
    const gapWidth = bytes.next()
    const amountWidth = bytes.next()
    if (gapWidth > BITS_MAX || amountWidth > BITS_MAX) throw bytes.defect('width')
    const least = bytes.varint()
    if (bytes.left < fieldBytes(count, gapWidth) + fieldBytes(count, amountWidth)) {
      throw bytes.defect('short')
    }
    const gaps = bytes.fields(count, gapWidth)
    const amounts = bytes.fields(count, amountWidth).map(more => least + more)
    if (pairs.length === 0 && gaps[0] !== 0n) throw bytes.defect('order')
    for (const [i, gap] of gaps.entries()) {
      id += gap + 1n
      pairs.push([id, amounts[i]!])
    }
    if (id > U64_MAX) throw bytes.defect('order')
    if (amounts.some(amount => amount > U64_MAX)) throw bytes.defect('overflow')
  }
  if (bytes.left > 0) throw bytes.defect('long')
  return pairs
}

/** The bytes of a block, read one after the other and never past the end. */
class Bytes {
  readonly #block: PackedBlock
  #at = 0

  constructor(block: PackedBlock) {
    this.#block = block
  }

  get left(): number {
    return this.#block.bytes.length - this.#at
  }

  next(): number {
    if (this.left === 0) throw this.defect('short')
    return this.#block.bytes[this.#at++]!
  }

  number(count: number): bigint {
    let number = 0n
    for (let i = 0; i < count; i++) number |= BigInt(this.next()) << BigInt(8 * i)
    return number
  }

  varint(): bigint {
    let number = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.next()
      number |= BigInt(byte & 127) << shift
      if (number > U64_MAX || (byte === 0 && shift > 0n)) throw this.defect('least')
      if (byte < 128) return number
      if (shift === 63n) throw this.defect('least')
    }
  }

  fields(count: number, width: number): bigint[] {
    const all = this.number(fieldBytes(count, width))
    if (all >> BigInt(count * width) !== 0n) throw this.defect('padding')
    const mask = 2n ** BigInt(width) - 1n
    return Array.from({ length: count }, (_, i) => (all >> BigInt(i * width)) & mask)
  }

  defect(defect: BlockDefect): Error {
    return defective(this.#block, defect)
  }
}
