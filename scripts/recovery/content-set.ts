/**
 * A set of content hashes, for millions of them: 16 bytes each in one array, instead of a string and
 * its place in a Set. Two contents whose hashes begin with the same 16 bytes are not to be had.
 */
export class ContentSet {
  #words = new Uint32Array(SLOTS_MIN * WORDS)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @param sha256 in hex. */
  has(sha256: string): boolean {
    const key = keyOf(sha256)
    return this.#isAt(this.#slotOf(key), key)
  }

  add(sha256: string): void {
    const key = keyOf(sha256)
    const slot = this.#slotOf(key)
    if (this.#isAt(slot, key)) return
    this.#words.set(key, slot * WORDS)
    this.#size += 1
    if (this.#size * 2 > this.#words.length / WORDS) this.#grow()
  }

  /** Where this key is, or would be. */
  #slotOf(key: readonly number[]): number {
    const mask = this.#words.length / WORDS - 1
    let slot = key[0]! & mask
    while (!this.#isFree(slot) && !this.#isAt(slot, key)) slot = (slot + 1) & mask
    return slot
  }

  #isAt(slot: number, key: readonly number[]): boolean {
    return key.every((word, i) => this.#words[slot * WORDS + i] === word)
  }

  /** No hash begins with 16 zero bytes, for the same reason as above. */
  #isFree(slot: number): boolean {
    return this.#isAt(slot, NOTHING)
  }

  #grow(): void {
    const before = this.#words
    this.#words = new Uint32Array(before.length * 2)
    for (let at = 0; at < before.length; at += WORDS) {
      const key = [...before.subarray(at, at + WORDS)]
      if (key.some(word => word !== 0)) this.#words.set(key, this.#slotOf(key) * WORDS)
    }
  }
}

const WORDS = 4
const SLOTS_MIN = 1_024
const NOTHING = [0, 0, 0, 0]

function keyOf(sha256: string): number[] {
  return [0, 8, 16, 24].map(at => Number.parseInt(sha256.slice(at, at + 8), 16))
}
