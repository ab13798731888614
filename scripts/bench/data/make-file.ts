import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { PairsFingerprint } from '../pairs-fingerprint.ts'
import { type Consumers, idOf, idWriterOf, indexesOf } from './consumers.ts'
import { writeNumber } from './decimal-text.ts'
import { randomWords } from './random.ts'

/** What a file is to be. The same plan always makes the same bytes. */
export interface FilePlan {
  readonly sizeBytes: number
  readonly consumers: Consumers
  readonly seed: number
}

/** Everything that can be said of a file, known from having made it. */
export interface KnownFile {
  readonly path: string
  readonly plan: FilePlan
  readonly sizeBytes: number
  readonly lines: number
  readonly amount: bigint
  /** Distinct consumers. */
  readonly ids: number
  readonly sha256: string
  /** Of all pairs (consumer, sum). */
  readonly fingerprint: string
}

/** Amounts are 1…AMOUNT_MAX: every sum of a file stays a whole number below 2^53. */
const AMOUNT_MAX = 100_000
const LINES_PER_BLOCK = 4_096
const BUFFER_BYTES = 4 * 2 ** 20
/** 20 digits, space, 6 digits, line end, and what the digits scribble behind them. */
const LINE_ROOM_BYTES = 32

/** Sums per consumer, for who makes several files and needs them together. */
export type Sums = Float64Array

/**
 * Writes lines until the file has `sizeBytes` bytes or a line more, and knows what they add up to.
 * The event loop gets its turn after each few megabytes.
 *
 * @param totals sums per consumer that this file's are added to.
 */
export async function makeFile(path: string, plan: FilePlan, totals?: Sums): Promise<KnownFile> {
  const { consumers, sizeBytes, seed } = plan
  const fill = randomWords(seed)
  const toIndexes = indexesOf(consumers)
  const writeId = idWriterOf(consumers)
  const indexes = new Uint32Array(LINES_PER_BLOCK)
  const words = new Uint32Array(LINES_PER_BLOCK)
  const sums = new Float64Array(consumers.count)
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  const hash = createHash('sha256')
  let written = 0
  let lines = 0
  let amount = 0
  const fd = openSync(path, 'w', 0o600)
  try {
    while (written < sizeBytes) {
      let at = 0
      const wanted = Math.min(sizeBytes - written, BUFFER_BYTES - LINES_PER_BLOCK * LINE_ROOM_BYTES)
      while (at < wanted) {
        fill(indexes)
        fill(words)
        toIndexes(indexes)
        for (let i = 0; i < LINES_PER_BLOCK && at < wanted; i += 1) {
          const index = indexes[i]!
          const value = 1 + (words[i]! % AMOUNT_MAX)
          at = writeId(view, at, index)
          view.setUint8(at, 0x20)
          at = writeNumber(view, at + 1, value)
          view.setUint8(at, 0x0a)
          at += 1
          sums[index] = sums[index]! + value
          amount += value
          lines += 1
        }
      }
      const bytes = buffer.subarray(0, at)
      hash.update(bytes)
      for (let done = 0; done < at; ) done += writeSync(fd, bytes, done)
      written += at
      await setImmediate()
    }
  } finally {
    closeSync(fd)
  }
  if (totals !== undefined) addSums(totals, sums)
  const { pairs, text } = fingerprintOf(consumers, sums)
  return {
    ...{ path, plan, lines, ids: pairs, fingerprint: text },
    sizeBytes: written,
    amount: BigInt(amount),
    sha256: hash.digest('hex'),
  }
}

function addSums(totals: Sums, sums: Sums): void {
  for (let i = 0; i < sums.length; i += 1) totals[i] = totals[i]! + sums[i]!
}

/** Of all consumers that occur: each of their amounts is at least 1. */
export function fingerprintOf(consumers: Consumers, sums: Sums): PairsFingerprint {
  const fingerprint = new PairsFingerprint()
  const isSparse = consumers.kind === 'sparse'
  for (let index = 0; index < sums.length; index += 1) {
    const sum = sums[index]!
    if (sum === 0) continue
    const sumHigh = Math.floor(sum / 2 ** 32)
    const sumLow = sum - sumHigh * 2 ** 32
    if (isSparse) {
      const id = idOf(consumers, index)
      fingerprint.add(Number(id & 0xffff_ffffn), Number(id >> 32n), sumLow, sumHigh)
    } else fingerprint.add(index + 1, 0, sumLow, sumHigh)
  }
  return fingerprint
}
