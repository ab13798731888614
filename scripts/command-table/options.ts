/**
 * What a command may be given: its options and the words after it, as data. From these come the parsing
 * here, and beside it help, completion and the manual page; nothing of it is said a second time.
 */

import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CONFIG_VARIABLE, defaultDirectory } from '../../shared/config-places.ts'
import { hasCode, toError } from '../../shared/errors.ts'
import { nearest } from '../../shared/nearest.ts'
import { usage, wholeNumber } from '../terminal/index.ts'

interface Described {
  /** A line or two, for help and manual page; its first part, up to `;` or `:`, for completion. */
  readonly help: string
  /** Instead of which other one it is given. */
  readonly insteadOf?: string
  /** Without which other one it means nothing. */
  readonly onlyWith?: string
  /** The command is refused without it, for this reason. */
  readonly required?: string
}
interface Switch extends Described {
  readonly kind: 'switch'
}
interface Valued extends Described {
  /** What stands for the value in help: FILE, N. */
  readonly value: string
}
interface Text extends Valued {
  /** `file` and `directory` are completed. */
  readonly kind: 'text' | 'file' | 'directory'
  readonly default?: string
  /** What it means without a value, which then stands behind a `=`. */
  readonly alone?: string
}
interface WholeNumber extends Valued {
  readonly kind: 'number'
  readonly min: number
  readonly max: number
  readonly default?: number
}
interface Choice extends Valued {
  readonly kind: 'choice'
  readonly choices: readonly string[]
  readonly default?: string
}
export type Option = Switch | Text | WholeNumber | Choice
export type Options = Readonly<Record<string, Option>>

/** The words behind a command. */
export type Words = {
  /** What stands for them in help. */
  readonly value: string
  readonly min: number
  /** Infinity: as many as there are. */
  readonly max: number
} & (
  | { readonly kind: 'file' | 'command'; readonly missing?: string }
  /** One of these, and what each means. */
  | { readonly kind: 'choice'; readonly choices: Readonly<Record<string, string>> }
)

type ValueOf<O extends Option> = O extends { kind: 'switch' }
  ? boolean
  : O extends { kind: 'number' }
    ? number
    : O extends { kind: 'choice'; choices: readonly (infer C)[] }
      ? C
      : string
type IsSure<O extends Option> = O extends { kind: 'switch' } | { default: unknown } ? true : false
/** What is left of the options once they are parsed: defaults are filled in, numbers are numbers. */
export type Values<T extends Options> = {
  readonly [K in keyof T]: IsSure<T[K]> extends true ? ValueOf<T[K]> : ValueOf<T[K]> | undefined
}

/** `--dir` and `--config` are everywhere but where nothing of a state directory is asked. */
export const COMMON = {
  dir: {
    kind: 'directory',
    value: 'D',
    help: "the state directory (default: COUNTERSINK_DIR, systemd's, or ./var)",
  },
  config: {
    kind: 'file',
    value: 'FILE',
    help: 'the configuration (default: COUNTERSINK_CONFIG, or countersink.json in D)',
  },
} as const satisfies Options

export interface Parsed<T extends Options> {
  readonly values: Values<T> & { readonly dir: string; readonly config: string | undefined }
  readonly positionals: readonly string[]
  readonly isDirGiven: boolean
}

/**
 * Strict parsing with a hint: an unknown option is refused with the nearest known one, a value with what
 * is allowed.
 *
 * @throws CountersinkError USAGE
 */
export function parseOptions<const T extends Options>(
  args: readonly string[],
  options: T,
  words?: Words,
): Parsed<T> {
  const { values: texts, positionals } = parseTexts(args, options)
  for (const [name, option] of Object.entries(options)) check(name, option, texts)
  checkWords(positionals, words)
  const values = Object.fromEntries(
    Object.entries(options).map(([name, option]) => [name, parsedValue(name, option, texts[name])]),
  )
  const { dir, config } = texts
  // As a variable it reaches whatever reads the configuration, and the children of this process.
  if (typeof config === 'string') process.env[CONFIG_VARIABLE] = resolve(config)
  return {
    values: { ...values, dir: dir ?? defaultDirectory(process.env) } as Parsed<T>['values'],
    positionals,
    isDirGiven: dir !== undefined,
  }
}

type Texts = Readonly<Record<string, string | boolean | undefined>>

function parseTexts(args: readonly string[], options: Options) {
  const types = Object.entries(options).map(([name, { kind }]) => {
    return [name, { type: kind === 'switch' ? 'boolean' : 'string' }] as const
  })
  try {
    const { values, positionals } = parseArgs({
      ...{ args: withValues(args, options), options: Object.fromEntries(types) },
      ...{ allowPositionals: true, strict: true },
    })
    return { values: values as Texts, positionals }
  } catch (error) {
    throw usage(hintFor(toError(error), [...Object.keys(options), 'help']))
  }
}

/** Whether it means something without a value. */
export function standsAlone(option: Option): boolean {
  return 'alone' in option && option.alone !== undefined
}

/** Options that may stand alone, with what they mean then. */
function withValues(args: readonly string[], options: Options): string[] {
  const end = args.indexOf('--')
  return args.map((arg, i) => {
    const option = end === -1 || i < end ? options[arg.replace(/^--/, '')] : undefined
    const alone = option !== undefined && 'alone' in option ? option.alone : undefined
    return alone === undefined || !arg.startsWith('--') ? arg : `${arg}=${alone}`
  })
}

/** What options mean to each other. */
function check(name: string, option: Option, given: Texts): void {
  const { insteadOf, onlyWith, required } = option
  if (given[name] === undefined) {
    if (required !== undefined) throw usage(required)
    return
  }
  if (insteadOf !== undefined && given[insteadOf] !== undefined) {
    throw usage(`--${insteadOf} and --${name} cannot be combined`)
  }
  if (onlyWith !== undefined && given[onlyWith] === undefined) {
    throw usage(`--${name} is for --${onlyWith}`)
  }
}

function parsedValue(name: string, option: Option, found: string | boolean | undefined) {
  if (option.kind === 'switch') return found === true
  if (typeof found !== 'string') return option.default
  if (option.kind === 'number') return wholeNumber(name, found, option.min, option.max)
  if (option.kind === 'choice' && !option.choices.includes(found)) {
    throw usage(
      `--${name} must be one of ${option.choices.join(', ')}, got ${JSON.stringify(found)}${meant(found, option.choices)}`,
    )
  }
  return found
}

function checkWords(found: readonly string[], words: Words | undefined): void {
  const { min, max } = words ?? { min: 0, max: 0 }
  const extra = found[max]
  if (extra !== undefined) throw usage(`${JSON.stringify(extra)} is one argument too many`)
  const known = words?.kind === 'choice' ? Object.keys(words.choices) : undefined
  if (found.length < min) {
    const what = words?.kind === 'choice' ? undefined : words?.missing
    throw usage(`${what ?? known?.join(', ') ?? words?.value} is missing`)
  }
  const strange = found.find(word => known !== undefined && !known.includes(word))
  if (strange === undefined || known === undefined) return
  const none =
    known.length === 2 ? `neither ${known[0]} nor ${known[1]}` : `none of ${known.join(', ')}`
  throw usage(`${JSON.stringify(strange)} is ${none}${meant(strange, known)}`)
}

function meant(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === undefined ? '' : `; did you mean ${near}?`
}

function hintFor(error: Error, known: readonly string[]): string {
  const unknown = /Unknown option '--?([^'=]+)/.exec(error.message)?.[1]
  if (!hasCode(error, 'ERR_PARSE_ARGS_UNKNOWN_OPTION') || unknown === undefined) {
    return error.message.split('. To specify')[0] ?? error.message
  }
  const near = nearest(unknown, known)
  return `there is no option --${unknown}${near === undefined ? '' : `; did you mean --${near}?`}`
}
