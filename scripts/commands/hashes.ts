import { readJournal } from '../../parser/journal/index.ts'
import { formatBytes, formatCount, formatCountOf } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import { OUTCOMES, type ProcessedFile, type Question } from '../../shared/protocol.ts'
import { command, FILE_SHAPE, fileJson, lines } from '../command-table/index.ts'
import { askForUnknown } from '../mariadb/index.ts'
import {
  asideText,
  columnsOf,
  EXIT,
  environment,
  print,
  timeText,
  withAnswers,
  wrapFields,
} from '../terminal/index.ts'

export const hashes = command({
  name: 'hashes',
  summary: 'list processed content hashes, newest first',
  about: `Lists what was processed, newest first: sha256, size, lines, amount, outcome, name, time (UTC).
While no parser runs, what only MariaDB's ledger knows (the journal was restored) comes first.`,
  options: {
    outcome: { kind: 'choice', value: 'O', choices: OUTCOMES, help: 'only these' },
    limit: {
      ...{ kind: 'number', value: 'N', min: 0, max: 1_000_000_000, default: 20 },
      help: 'at most so many; 0: all',
    },
  },
  exits: { 0: 'listed', 3: 'there is no journal, or its parser does not answer' },
  examples: [
    {
      line: 'countersink hashes --outcome quarantined',
      what: 'what was refused last, with its names',
    },
    { line: 'countersink hashes --limit 0 --json', what: 'everything that was ever processed' },
  ],
  answer: lines(FILE_SHAPE),
  async run({ values, answer }) {
    const { outcome } = values
    const limit = values.limit || Number.POSITIVE_INFINITY
    const { paths } = environment(values.dir)
    const show = (file: ProcessedFile): Promise<void> =>
      values.json ? answer(fileJson(file)) : print(`${row(file)}\n`)
    return withAnswers(paths, async (ask, from) => {
      let left = limit
      if (from === 'journal' && (outcome ?? 'applied') === 'applied') {
        const unknown = await unknownToJournal(paths, left)
        for (const file of unknown) await show(file)
        left -= unknown.length
      }
      let before: number | undefined
      do {
        const question: Question & { kind: 'newest' } = {
          kind: 'newest',
          ...(before === undefined ? {} : { before }),
          ...(outcome === undefined ? {} : { outcome }),
        }
        const page = await ask(question)
        for (const file of page.files.slice(0, left)) await show(file)
        if (page.isProvisional && before === undefined) process.stderr.write(PROVISIONAL)
        left -= page.files.length
        before = page.next
      } while (left > 0 && before !== undefined)
      return EXIT.ok
    })
  },
})

const PROVISIONAL =
  '(the parser has not compared its journal with MariaDB yet: counted files may be missing here)\n'

/** Counted files that a journal which was restored from a backup does not have. */
async function unknownToJournal(
  paths: StatePaths,
  limit: number,
): Promise<readonly ProcessedFile[]> {
  const next = await readJournal(paths.journal, (_view, state) => state.nextSequence)
  if (next === undefined || limit <= 0) return []
  const asked = await askForUnknown(paths, next, Math.min(limit, UNKNOWN_MAX))
  if ('rows' in asked) return asked.rows
  process.stderr.write(
    `(MariaDB cannot be asked whether the journal has everything: ${asked.silentBecause})\n`,
  )
  return []
}

const UNKNOWN_MAX = 100_000

/** On a narrow terminal the hash is shortened; `check` knows a content by its first 8 digits. */
function row(file: ProcessedFile): string {
  const columns = columnsOf(process.stdout)
  const fields = (hash: string): string[] => [
    hash,
    formatBytes(file.sizeBytes).padStart(9),
    formatCountOf(file.lines, 'line').padStart(16),
    formatCount(BigInt(file.amount)).padStart(20),
    file.outcome.padEnd(11),
    timeText(file.settledAtMs),
    quotedName(file.name),
    ...(file.rejectedLines === undefined ? [] : [asideText(file)]),
  ]
  const whole = fields(file.sha256)
  if (whole.join('  ').length <= columns) return whole.join('  ')
  const [first, ...others] = wrapFields(
    fields(file.sha256.slice(0, SHORT_HASH_DIGITS)),
    columns - 2,
  )
  return [first, ...others.map(line => `  ${line}`)].join('\n')
}

const SHORT_HASH_DIGITS = 16
