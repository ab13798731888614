/**
 * sfc32 by C. Doty-Humphrey (PractRand): small, fast, passes the usual tests. The benchmark has its
 * own so that its data do not change when the generator's do.
 */
export function randomWords(seed: number): (into: Uint32Array) => void {
  let a = seed | 0
  let b = 0x9e3779b9 | 0
  let c = 0x243f6a88
  let counter = 1
  const fill = (into: Uint32Array): void => {
    for (let i = 0; i < into.length; i += 1) {
      const word = (a + b + counter) | 0
      counter = (counter + 1) | 0
      a = b ^ (b >>> 9)
      b = (c + (c << 3)) | 0
      c = ((c << 21) | (c >>> 11)) + word
      c |= 0
      into[i] = word
    }
  }
  fill(new Uint32Array(16))
  return fill
}
