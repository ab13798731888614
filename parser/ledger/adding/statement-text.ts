import assert from 'node:assert/strict'
import { U64_DIGITS, writeDigits } from './decimal-bytes.ts'

const ASCII_0 = 48

/**
 * A statement that is written as bytes, with its numbers from 64-bit halves: nothing is allocated until it
 * is taken. One after the other is written into the same buffer.
 */
export class StatementText {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytesMax: number) {
    this.#bytes = Buffer.allocUnsafe(bytesMax)
  }

  get lengthBytes(): number {
    return this.#at
  }

  begin(sql: string): void {
    this.#at = 0
    this.write(sql)
  }

  write(sql: string): void {
    const written = this.#bytes.write(sql, this.#at, 'latin1')
    assert.equal(written, sql.length, 'the statement is longer than its buffer')
    this.#at += written
  }

  /** The one at `index`, low half first, without leading zeros, which only cost room. */
  writeNumber(numbers: Uint32Array, index: number): void {
    const bytes = this.#bytes
    const end = this.#at + U64_DIGITS
    writeDigits(bytes, this.#at, U64_DIGITS, numbers[index * 2 + 1]!, numbers[index * 2]!)
    let first = this.#at
    while (first < end - 1 && bytes[first] === ASCII_0) first += 1
    bytes.copyWithin(this.#at, first, end)
    this.#at += end - first
  }

  take(): string {
    // What is written behind the end of a buffer is lost without an error.
    assert(this.#at <= this.#bytes.length, 'the statement is longer than its buffer')
    return this.#bytes.toString('latin1', 0, this.#at)
  }
}
