import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { hasCode, toError } from '../../shared/errors.ts'
import { nearest } from '../../shared/nearest.ts'
import { usage } from '../terminal/index.ts'

/** What `npm run bench -- …` was asked for. */
export type BenchCommand =
  | { readonly kind: 'help' }
  | { readonly kind: 'digest'; readonly path: string; readonly json: boolean }
  | ({ readonly kind: 'run' } & RunOptions)

export interface RunOptions {
  readonly quick: boolean
  /** Names of sections, in the order of the list; all of them if none were given. */
  readonly sections: readonly string[]
  /** The data and state directories are made in a new directory in here. */
  readonly dir: string
  readonly keep: boolean
  readonly json: boolean
  /** Put tables and plots into BENCHMARKS.md and `plots/`. */
  readonly write: boolean
  readonly minutes: number | undefined
  /** Where `node_modules` has the programs to compare with that are no dependency. */
  readonly modules: string | undefined
  /** A built checkout of an earlier state, which is measured in turn with this one. */
  readonly before: string | undefined
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h', default: false },
  quick: { type: 'boolean', default: false },
  only: { type: 'string' },
  dir: { type: 'string' },
  keep: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  minutes: { type: 'string' },
  modules: { type: 'string' },
  before: { type: 'string' },
} as const

/** By this variable too, see `--modules`. */
export const MODULES_VARIABLE = 'COUNTERSINK_BENCH_MODULES'

/**
 * Reads the command line; unknown options and names are refused with the nearest known one.
 *
 * @throws CountersinkError USAGE
 */
export function parseBenchArguments(
  args: readonly string[],
  sections: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): BenchCommand {
  const { values, positionals } = parse(args)
  if (values.help) return { kind: 'help' }
  const [command, path, ...more] = positionals
  if (command === 'digest') {
    if (path === undefined) throw usage('digest: the file is missing')
    if (more[0] !== undefined) throw usage(`${JSON.stringify(more[0])} is one argument too many`)
    const idle = Object.entries(values).find(
      ([name, value]) => !['json', 'help'].includes(name) && value !== undefined && value !== false,
    )
    if (idle !== undefined) throw usage(`digest takes --json alone, not --${idle[0]}`)
    return { kind: 'digest', path, json: values.json }
  }
  if (command !== undefined) {
    throw usage(`there is no command ${JSON.stringify(command)}${hint(command, ['digest'])}`)
  }
  return {
    kind: 'run',
    quick: values.quick,
    sections: values.only === undefined ? sections : chosen(values.only, sections),
    dir: values.dir ?? tmpdir(),
    keep: values.keep,
    json: values.json,
    write: values.write,
    minutes: values.minutes === undefined ? undefined : positiveNumber('minutes', values.minutes),
    modules: values.modules ?? (env[MODULES_VARIABLE] || undefined),
    before: values.before,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true })
  } catch (thrown) {
    const error = toError(thrown)
    const unknown = /Unknown option '--?([^'=]+)/.exec(error.message)?.[1]
    if (!hasCode(error, 'ERR_PARSE_ARGS_UNKNOWN_OPTION') || unknown === undefined) {
      throw usage(error.message.split('. To specify')[0] ?? error.message)
    }
    throw usage(`there is no option --${unknown}${hint(unknown, Object.keys(OPTIONS), '--')}`)
  }
}

function chosen(list: string, sections: readonly string[]): readonly string[] {
  const names = list.split(',').filter(name => name !== '')
  if (names.length === 0) throw usage('--only needs a name, or several with commas between')
  for (const name of names) {
    if (!sections.includes(name)) {
      throw usage(`there is nothing called ${JSON.stringify(name)}${hint(name, sections)}`)
    }
  }
  return sections.filter(name => names.includes(name))
}

function positiveNumber(option: string, text: string): number {
  const value = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (value > 0) return value
  throw usage(`--${option} must be a number above 0, got ${JSON.stringify(text)}`)
}

function hint(word: string, known: readonly string[], before = ''): string {
  const near = nearest(word, known)
  return near === undefined ? '' : `; did you mean ${before}${near}?`
}
