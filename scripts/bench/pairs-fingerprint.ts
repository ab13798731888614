/**
 * A fingerprint of a set of pairs (consumer, sum) that does not depend on their order: each pair is
 * hashed by itself, the hashes are added up, 64 bits in two halves. Not for adversaries; it tells
 * two independently computed results apart.
 */
export class PairsFingerprint {
  #first = 0
  #second = 0
  pairs = 0

  /** Both numbers in 32-bit halves, low half first. */
  add(idLow: number, idHigh: number, sumLow: number, sumHigh: number): void {
    this.pairs += 1
    let h = mix(idLow ^ 0x9e3779b9)
    h = mix(h ^ idHigh)
    h = mix(h ^ sumLow)
    h = mix(h ^ sumHigh)
    this.#first = (this.#first + h) >>> 0
    this.#second = (this.#second + mix(h ^ 0x85ebca6b ^ idLow)) >>> 0
  }

  addAll({ ids, amounts }: { ids: BigUint64Array; amounts: BigUint64Array }): void {
    const idWords = wordsOf(ids)
    const sumWords = wordsOf(amounts)
    for (let i = 0; i < idWords.length; i += 2) {
      this.add(idWords[i]!, idWords[i + 1]!, sumWords[i]!, sumWords[i + 1]!)
    }
  }

  /** 16 hex digits. */
  get text(): string {
    return [this.#first, this.#second].map(half => half.toString(16).padStart(8, '0')).join('')
  }
}

/** Low halves at even places: Linux runs Node on little-endian machines only. */
function wordsOf(numbers: BigUint64Array): Uint32Array {
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length * 2)
}

/** The finaliser of MurmurHash3 (A. Appleby, public domain): every bit depends on every other. */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
