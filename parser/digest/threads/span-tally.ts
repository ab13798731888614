import type { HelpedSums } from '../segment-board.ts'
import type { SumKernel } from '../sum-kernel.ts'

/**
 * How many lines were summed, to which amount, whoever summed them: the kernel counts those of the
 * present span that are summed here, and nobody but this knows what was before it and what helpers
 * have added since.
 */
export class SpanTally {
  readonly #kernel: SumKernel
  /** What was known where the present span begins. */
  #before: { readonly lines: number; readonly amount: bigint }
  /** What helpers have added since. */
  #helped = { lines: 0, amount: 0n }
  /** Lines that helpers have summed of the spans before. */
  #helpedLinesBefore = 0

  constructor(kernel: SumKernel, before: { readonly lines: number; readonly amount: bigint }) {
    this.#kernel = kernel
    this.#before = { lines: before.lines, amount: before.amount }
  }

  /** A span begins. */
  begin(): void {
    this.#before = { lines: this.lines, amount: this.amount }
    this.#helpedLinesBefore += this.#helped.lines
    this.beginAgain()
  }

  /** The same span once more. */
  beginAgain(): void {
    this.#helped = { lines: 0, amount: 0n }
    this.#kernel.resetTotals()
  }

  addHelped({ lines, amount }: Pick<HelpedSums, 'lines' | 'amount'>): void {
    this.#helped.lines += lines
    this.#helped.amount += amount
  }

  get helpedLines(): number {
    return this.#helpedLinesBefore + this.#helped.lines
  }

  get lines(): number {
    return this.#before.lines + this.#helped.lines + this.#kernel.lines
  }

  get amount(): bigint {
    return this.#before.amount + this.#helped.amount + this.#kernel.amount
  }
}
