/** Reports the position of the thread that is behind, whenever it has moved. */
export class SlowerOfTwo {
  readonly #sizeBytes: number
  readonly #report: ((positionBytes: number) => void) | undefined
  #hashBytes = 0
  #sumBytes = 0
  #reportedBytes = 0

  constructor(sizeBytes: number, report: ((positionBytes: number) => void) | undefined) {
    this.#sizeBytes = sizeBytes
    this.#report = report
  }

  hashAt(positionBytes: number): void {
    this.#hashBytes = positionBytes
    this.#tell()
  }

  sumAt(positionBytes: number): void {
    this.#sumBytes = positionBytes
    this.#tell()
  }

  /** No position has moved, but a long step has: the last one is told again. */
  alive(): void {
    this.#report?.(this.#reportedBytes)
  }

  #tell(): void {
    const position = Math.min(this.#hashBytes, this.#sumBytes, this.#sizeBytes)
    if (position <= this.#reportedBytes) return
    this.#reportedBytes = position
    this.#report?.(position)
  }
}
