/** Something that is looked up at most so often, whoever asks: those who ask meanwhile share one look. */
export class Fresh<T> {
  readonly #look: () => Promise<T>
  readonly #maxAgeMs: number
  #found: Promise<T> | undefined
  #validUntilMs = 0

  constructor(look: () => Promise<T>, maxAgeMs: number) {
    this.#look = look
    this.#maxAgeMs = maxAgeMs
  }

  get(): Promise<T> {
    if (this.#found === undefined || performance.now() > this.#validUntilMs) {
      // While it looks, nobody else does.
      this.#validUntilMs = Number.POSITIVE_INFINITY
      const look = this.#look()
      this.#found = look
      const end = (): void => {
        this.#validUntilMs = performance.now() + this.#maxAgeMs
      }
      look.then(end, end)
    }
    return this.#found
  }
}
