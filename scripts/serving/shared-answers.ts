/**
 * Who asks for the same within a moment gets the same answer, of which one is made: a page that is open on many
 * screens costs what it costs on one. Bounded, and kept no longer than that moment.
 */
export class SharedAnswers<T> {
  readonly #keptMs: number
  readonly #entriesMax: number
  readonly #answers = new Map<string, { readonly answer: Promise<T>; readonly untilMs: number }>()

  constructor(keptMs: number, entriesMax: number) {
    this.#keptMs = keptMs
    this.#entriesMax = entriesMax
  }

  get(question: string, make: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(question)
    if (known !== undefined && performance.now() < known.untilMs) return known.answer
    const answer = make()
    this.#keep(question, answer, Number.POSITIVE_INFINITY)
    const end = (): void => this.#keep(question, answer, performance.now() + this.#keptMs)
    // An error is everybody's who has waited for it, and nobody's afterwards.
    answer.then(end, () => this.#answers.delete(question))
    return answer
  }

  #keep(question: string, answer: Promise<T>, untilMs: number): void {
    this.#answers.delete(question)
    this.#answers.set(question, { answer, untilMs })
    const [oldest] = this.#answers.keys()
    if (this.#answers.size > this.#entriesMax && oldest !== undefined) this.#answers.delete(oldest)
  }
}
