import { readJournal } from '../../parser/journal/index.ts'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { AnswerTo, Question } from '../../shared/protocol.ts'
import { type Asking, AT_TERMINAL } from './asking.ts'
import { cannot } from './cli.ts'
import { reach, whatToDoFirst } from './reaching.ts'

/** Where the commands get their answers from: the living parser, else its journal. */
export type Answerer = <T extends Question>(question: T) => Promise<AnswerTo<T>>

/**
 * Runs `use` with whoever can answer. When the parser does not, it says why above the answer and
 * answers from the journal, which is open only while it answers: a parser that starts meanwhile waits
 * for nobody's terminal.
 *
 * @param aside what is said then, and why.
 * @throws CountersinkError STOPPED (exit status 3) when there is neither, JOURNAL_IN_USE when a parser
 *   lives and does not answer.
 */
export async function withAnswers<R>(
  paths: StatePaths,
  use: (ask: Answerer, from: 'parser' | 'journal') => Promise<R>,
  aside = (why: string): string => `${why}; this is what its journal says`,
  asking: Pick<Asking, 'aside'> = AT_TERMINAL,
): Promise<R> {
  const reached = await reach(paths, 'parser')
  if ('channel' in reached) {
    const { channel } = reached
    try {
      return await use(async question => {
        const { body } = await channel.request<'answer'>({ type: 'query', question })
        return body as never
      }, 'parser')
    } finally {
      channel.close()
    }
  }
  const { silentBecause } = reached
  const fromJournal: Answerer = async question => {
    const answer = await readJournal(paths.journal, view =>
      view.answer(question, RECORDS_AT_REST_MAX),
    ).catch((error: unknown) => {
      // One that nobody supervises, and that cannot be found at its socket, is known by its lock alone.
      if (!hasCode(error, 'JOURNAL_IN_USE') || !reached.isThere) throw error
      throw new CountersinkError('JOURNAL_IN_USE', `${silentBecause}, and has the journal open`, {
        advice: 'Ask again in a moment; "countersink status" shows what runs.',
      })
    })
    if (answer !== undefined) return answer
    throw cannot(
      `nothing is known in ${paths.dir}: ${silentBecause}, and there is no journal`,
      await whatToDoFirst(paths),
    )
  }
  await fromJournal({ kind: 'queue', after: 0 })
  asking.aside(aside(silentBecause))
  return use(fromJournal, 'journal')
}

/** No frame bounds what the journal itself answers. */
const RECORDS_AT_REST_MAX = 2_000
