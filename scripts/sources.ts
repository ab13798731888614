import { readFile } from 'node:fs/promises'
import { readJournal } from '../parser/journal/reading.ts'
import { askOnce } from '../shared/channel.ts'
import { hasCode } from '../shared/errors.ts'
import { isAlive } from '../shared/lifecycle.ts'
import type { StatePaths } from '../shared/paths.ts'
import type { AnswerTo, ProcessedFile, Question } from '../shared/protocol.ts'
import { cannot } from './cli.ts'
import type { SupervisorStatus } from './supervisor.ts'

/** Where the commands get their answers from: the living parser, else its journal. */
export type Answerer = <T extends Question>(question: T) => Promise<AnswerTo<T>>

/**
 * Runs `use` with whoever can answer. When the parser is down it says so on standard error and
 * answers from the journal, which is open only while it answers: a parser that starts meanwhile waits
 * for nobody's terminal.
 *
 * @throws CountersinkError STOPPED (exit status 3) when there is neither, JOURNAL_IN_USE when a parser
 *   lives and does not answer.
 */
export async function withAnswers<R>(
  paths: StatePaths,
  use: (ask: Answerer, from: 'parser' | 'journal') => Promise<R>,
): Promise<R> {
  const answered = await askOnce(paths.parserSocket, async channel => ({
    result: await use(async question => {
      const { body } = await channel.request<'answer'>({ type: 'query', question })
      return body as never
    }, 'parser'),
  }))
  if (answered !== undefined) return answered.result
  const fromJournal: Answerer = async question => {
    const answer = await readJournal(paths.journal, view =>
      view.answer(question, RECORDS_AT_REST_MAX),
    )
    if (answer !== undefined) return answer
    throw cannot(
      `nothing is known in ${paths.dir}: no parser runs there, and it has no journal`,
      'Start it with "countersink up", or name its directory with --dir.',
    )
  }
  await fromJournal({ kind: 'queue', after: 0 })
  process.stderr.write('(the parser is not running; this is what its journal says)\n')
  return use(fromJournal, 'journal')
}

/** No frame bounds what the journal itself answers. */
const RECORDS_AT_REST_MAX = 2_000

/** What the supervisor of this directory says of itself, while it lives. */
export async function readSupervisor(paths: StatePaths): Promise<SupervisorStatus | undefined> {
  let text: string
  try {
    text = await readFile(paths.supervisorStatus, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  const status = JSON.parse(text) as SupervisorStatus
  return isAlive(status) ? status : undefined
}

/** A processed file as `--json` shows it: amounts are strings, times are UTC ISO-8601. */
export function fileJson(file: ProcessedFile) {
  const iso = (ms: number): string => new Date(ms).toISOString()
  return {
    sha256: file.sha256,
    size: file.sizeBytes,
    lines: file.lines,
    amount: file.amount,
    outcome: file.outcome,
    name: file.name,
    time: iso(file.settledAtMs),
    ...(file.reason === undefined ? {} : { reason: file.reason }),
    claimedAt: iso(file.claimedAtMs),
    digestStartedAt: iso(file.digestStartedAtMs),
    digestedAt: iso(file.digestedAtMs),
    settledAt: iso(file.settledAtMs),
  }
}

/** A point in time for people, in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** Writes with backpressure: a slow reader must not make us hold everything. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) {
    await new Promise<void>(resolve => process.stdout.once('drain', resolve))
  }
}
