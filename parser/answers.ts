import { setImmediate } from 'node:timers/promises'
import { CountersinkError, describeError } from '../shared/errors.ts'
import type { AnswerTo, ContentAnswer, Question, TrailQuestion } from '../shared/protocol.ts'
import type { InboxScanner, QueueTally } from './intake/index.ts'
import { type Journal, type JournalTrails, journalTrails, withWaiting } from './journal/index.ts'
import { judgeSqlError, type Ledger, withLedgerRows } from './ledger/index.ts'
import { trailAnswer } from './trails.ts'

/**
 * Answers what people ask: what the ledger says of a content decides, the journal answers everything
 * else, from indexes or in slices with room for others between. Whatever it throws is a fault of ours
 * or of the journal, and ends the process.
 */
export class Answers {
  readonly #journal: Journal
  readonly #queue: QueueTally
  readonly #scanner: InboxScanner
  readonly #ledger: Ledger
  readonly #isProvisional: () => boolean

  constructor(options: {
    journal: Journal
    queue: QueueTally
    scanner: InboxScanner
    ledger: Ledger
    /** Whether the journal was not compared with the ledger yet. */
    isProvisional: () => boolean
  }) {
    this.#journal = options.journal
    this.#queue = options.queue
    this.#scanner = options.scanner
    this.#ledger = options.ledger
    this.#isProvisional = options.isProvisional
  }

  async answer(question: Question): Promise<AnswerTo<Question>> {
    if (question.kind === 'inbox') {
      await setImmediate()
      return this.#scanner.whatOf(question.name)
    }
    if (question.kind === 'content') return this.#content(question.prefix)
    if (question.kind === 'trail') return trailAnswer(question, this.#ledger, this.#journalTrails)
    const steps = this.#journal.answering(question)
    for (;;) {
      const step = steps.next()
      // After the last step too: who asks again and again must not have the loop to itself.
      await setImmediate()
      if (!step.done) continue
      const isProvisional = question.kind === 'newest' && this.#isProvisional()
      return isProvisional ? { ...step.value, isProvisional } : step.value
    }
  }

  readonly #journalTrails = async (
    question: TrailQuestion,
    contents: readonly string[],
  ): Promise<JournalTrails> => {
    const steps = journalTrails(this.#journal, question, contents)
    for (;;) {
      const step = steps.next()
      await setImmediate()
      if (step.done) return step.value
    }
  }

  async #content(prefix: string): Promise<ContentAnswer> {
    // Before the ledger is asked: what is counted in between is in its answer at least.
    const matches = withWaiting(this.#journal.contents(prefix), this.#queue.contentsWith(prefix))
    try {
      return withLedgerRows({ matches }, await this.#ledger.ask(prefix))
    } catch (error) {
      if (!(error instanceof CountersinkError) && judgeSqlError(error) === undefined) throw error
      return { matches, ledgerSilentBecause: describeError(error) }
    }
  }
}
