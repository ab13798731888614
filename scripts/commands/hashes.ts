import { readJournal } from '../../parser/journal/index.ts'
import { formatBytes, formatCount } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { quotedName } from '../../shared/printable.ts'
import { OUTCOMES, type Outcome, type ProcessedFile, type Question } from '../../shared/protocol.ts'
import { askForUnknown } from '../mariadb/index.ts'
import {
  type Command,
  columnsOf,
  DIR_HELP,
  EXIT,
  environment,
  fileJson,
  parseOptions,
  print,
  timeText,
  usage,
  wholeNumber,
  withAnswers,
  wrapFields,
} from '../terminal/index.ts'

export const hashes: Command = {
  name: 'hashes',
  summary: 'list processed content hashes, newest first',
  help: `
Usage: countersink hashes [--dir D] [--outcome O] [--limit N] [--json]

Lists what was processed, newest first: sha256, size, lines, amount, outcome, name, time (UTC).
While no parser runs, what only MariaDB's ledger knows (the journal was restored) comes first.

${DIR_HELP}
  --outcome O        only these: ${OUTCOMES.join(', ')}
  --limit N          at most so many (default: 20; 0: all)
  --json             one object a line; amounts are strings
`,
  async run(args) {
    const { values } = parseOptions(args, {
      outcome: { type: 'string' },
      limit: { type: 'string', default: '20' },
      json: { type: 'boolean', default: false },
    })
    const outcome = parseOutcome(values.outcome)
    const limit = wholeNumber('limit', values.limit, 0, 1_000_000_000) || Number.POSITIVE_INFINITY
    const { paths } = environment(values.dir)
    const show = (file: ProcessedFile): Promise<void> =>
      print(values.json ? `${JSON.stringify(fileJson(file))}\n` : `${row(file)}\n`)
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
}

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

function parseOutcome(text: string | undefined): Outcome | undefined {
  if (text === undefined) return undefined
  const found = OUTCOMES.find(one => one === text)
  if (found !== undefined) return found
  throw usage(`--outcome must be one of ${OUTCOMES.join(', ')}, got ${JSON.stringify(text)}`)
}

/** On a narrow terminal the hash is shortened; `check` knows a content by its first 8 digits. */
function row(file: ProcessedFile): string {
  const columns = columnsOf(process.stdout)
  const fields = (hash: string): string[] => [
    hash,
    formatBytes(file.sizeBytes).padStart(9),
    `${formatCount(file.lines)} lines`.padStart(16),
    formatCount(BigInt(file.amount)).padStart(20),
    file.outcome.padEnd(11),
    timeText(file.settledAtMs),
    quotedName(file.name),
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
