import { readJournal } from '../../parser/journal/reading.ts'
import { hasCode } from '../../shared/errors.ts'
import type { AnswerTo, Question } from '../../shared/protocol.ts'
import { askOnce } from '../../shared/socket/connecting.ts'
import { eventually } from './eventually.ts'
import type { Site } from './state-dir.ts'

/**
 * What a parser answers, or its journal once it has ended: nobody else may open that while it lives.
 * undefined when there is neither.
 */
export function answerOf<T extends Question>(
  site: Site,
  question: T,
): Promise<AnswerTo<T> | undefined> {
  return eventually('parser or journal answers', async () => {
    try {
      const answered = await askOnce(site.paths.parserSocket, async channel => {
        const { body } = await channel.request<'answer'>({ type: 'query', question })
        return { answer: body as AnswerTo<T> }
      })
      if (answered !== undefined) return answered
      return {
        answer: await readJournal(site.paths.journal, view => view.answer(question, 10_000)),
      }
    } catch (error) {
      // It is just starting or ending.
      if (hasCode(error, 'CHANNEL_CLOSED', 'ECONNRESET', 'EPIPE', 'JOURNAL_IN_USE'))
        return undefined
      throw error
    }
  }).then(({ answer }) => answer)
}
