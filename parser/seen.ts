/**
 * What is remembered from look to look about names in a directory: bounded, and forgotten when a
 * look from one end to the other has not met the name. A look that ends early forgets nothing.
 */
export class Seen<T> {
  readonly #entries = new Map<string, { value: T; look: number }>()
  #look = 0

  /** Also counts as having met the name. */
  get(name: string): T | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    entry.look = this.#look
    return entry.value
  }

  /** false: it remembers as many as it may; this one has to wait for its turn. */
  set(name: string, value: T): boolean {
    if (this.#entries.size >= NAMES_MAX && !this.#entries.has(name)) return false
    this.#entries.set(name, { value, look: this.#look })
    return true
  }

  /** A look has come to the other end. */
  endLook(): void {
    for (const [name, { look }] of this.#entries) {
      if (look !== this.#look) this.#entries.delete(name)
    }
    this.#look += 1
  }
}

const NAMES_MAX = 100_000
