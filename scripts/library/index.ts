/**
 * countersink as a library: `import { publish, check, totals, usage, verify, explain } from 'countersink'`.
 *
 * The commands of these names, for programs, from the same functions. Each asks the service of a state
 * directory, running or not, and answers with plain data (`types.ts`). None prints, ends the process,
 * listens to its signals, reads settings from its environment or changes anything of it. What cannot be
 * answered is a CountersinkError, whose `code` tells which; a negative answer is none.
 *
 * The import loads and starts nothing; the first question loads what it needs.
 */

import type {
  Checked,
  CheckOptions,
  ExplainConsumerOptions,
  ExplainedConsumer,
  ExplainedFile,
  ExplainFileOptions,
  Published,
  PublishOptions,
  Total,
  TotalsOptions,
  UsageOptions,
  Used,
  Verified,
  VerifyOptions,
} from './types.ts'

export { CountersinkError, type ErrorCode } from '../../shared/errors.ts'
export type * from './types.ts'

/**
 * Copies files into the inbox, each once nobody writes to it, and announces them. Works while the service is
 * down. The answers are in the order of `files`; one that could not be brought in holds up no other.
 *
 * @throws CountersinkError STOPPED, STATE_DIRECTORY_UNFIT, CONFIG_INVALID, USAGE
 */
export async function publish(options: PublishOptions): Promise<readonly Published[]> {
  const { publishForProgram } = await import('./publish.ts')
  return publishForProgram(options)
}

/**
 * Whether a content is counted in the totals. MariaDB's ledger decides.
 *
 * @throws CountersinkError USAGE when it is neither a file nor a hash, or fits several; DATABASE_UNAVAILABLE,
 *   STOPPED, JOURNAL_IN_USE when it cannot be known now; CONFIG_INVALID
 */
export async function check(options: CheckOptions): Promise<Checked> {
  const { checkForProgram } = await import('./questions.ts')
  return checkForProgram(options)
}

/**
 * The totals, ascending by id, as they are read: any number takes the memory of few. With `id` one, or none
 * when it has none. A loop that is left early ends the question.
 *
 * @throws CountersinkError STOPPED when there are none yet, or it is another database; DATABASE_UNAVAILABLE,
 *   USAGE, CONFIG_INVALID
 */
export async function* totals(options: TotalsOptions): AsyncGenerator<Total, void, void> {
  const { totalsForProgram } = await import('./totals.ts')
  yield* totalsForProgram(options)
}

/**
 * What was used in each hour, day or month, as of one moment: by all consumers together, by one, by the
 * largest or by each, period after period, as they are read. A loop that is left early ends the question.
 *
 * @throws CountersinkError STOPPED when usage by time is not kept; BLOCK_UNREADABLE, DATABASE_UNAVAILABLE, USAGE,
 *   CONFIG_INVALID
 */
export async function* usage(options: UsageOptions): AsyncGenerator<Used, void, void> {
  const { usageForProgram } = await import('./usage.ts')
  yield* usageForProgram(options)
}

/**
 * Proves, beside whatever runs, that the totals are the opening balance and what was counted.
 *
 * @throws CountersinkError STOPPED, LEDGER_UNFIT, DATABASE_UNAVAILABLE, CONFIG_INVALID
 */
export async function verify(options: VerifyOptions): Promise<Verified> {
  const { verifyForProgram } = await import('./questions.ts')
  return verifyForProgram(options)
}

/**
 * What became of a file, or why a consumer's total is what it is.
 *
 * @throws CountersinkError USAGE when there is no such file, or it can be none; DATABASE_UNAVAILABLE, STOPPED,
 *   JOURNAL_IN_USE when it cannot be known now; BLOCK_UNREADABLE, CONFIG_INVALID
 */
export function explain(options: ExplainFileOptions): Promise<ExplainedFile>
export function explain(options: ExplainConsumerOptions): Promise<ExplainedConsumer>
export async function explain(
  options: ExplainFileOptions | ExplainConsumerOptions,
): Promise<ExplainedFile | ExplainedConsumer> {
  const { explainFileForProgram, explainConsumerForProgram } = await import('./explain.ts')
  return 'consumer' in options ? explainConsumerForProgram(options) : explainFileForProgram(options)
}
