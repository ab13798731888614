/**
 * What is remembered from look to look about names in a directory: bounded, and forgotten when a
 * look from one end to the other has not met the name. A look that ends early forgets nothing.
 */
export class Seen<T> {
  readonly #entries = new Map<string, { value: T; look: number }>()
  #look = 0
  #sweep: Iterator<[string, { value: T; look: number }]> | undefined

  get size(): number {
    return this.#entries.size
  }

  /** What is remembered of it, as somebody asks who has not met it. */
  peek(name: string): T | undefined {
    return this.#entries.get(name)?.value
  }

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

  delete(name: string): void {
    this.#entries.delete(name)
  }

  /**
   * A look has come to the other end: forgets some of what it has not met, few enough to hold up
   * nobody. To be called until it is through with all.
   *
   * @returns whether it is; then another look begins.
   */
  forgetUnmet(forgotten: (name: string, value: T) => void = () => {}): boolean {
    this.#sweep ??= this.#entries.entries()
    for (let i = 0; i < SWEPT_AT_ONCE_MAX; i += 1) {
      const { done, value: entry } = this.#sweep.next()
      if (done) {
        this.#sweep = undefined
        this.#look += 1
        return true
      }
      const [name, { value, look }] = entry
      if (look === this.#look) continue
      this.#entries.delete(name)
      forgotten(name, value)
    }
    return false
  }
}

const NAMES_MAX = 100_000
/** About a tenth of a millisecond. */
const SWEPT_AT_ONCE_MAX = 2_000
