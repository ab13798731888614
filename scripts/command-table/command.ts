/**
 * A command as a row of the table: all that is said of it, and what it does. What it may be given is
 * parsed before it runs, and what it answers as JSON begins like every other's.
 */

import { toError, withCause } from '../../shared/errors.ts'
import { nearest } from '../../shared/nearest.ts'
import { printable } from '../../shared/printable.ts'
import { print, usage } from '../terminal/index.ts'
import { type Answer, JSON_VERSION } from './json-shape.ts'
import { COMMON, type Options, type Parsed, parseOptions, type Words } from './options.ts'

/** Finds a command by its name, and loads no other. */
export type CommandTable = Readonly<Record<string, () => Promise<Command>>>

interface Described {
  readonly name: string
  /** For the list of commands. */
  readonly summary: string
  /** Paragraphs, with an empty line between. */
  readonly about: string
  readonly words?: Words
  /** What each exit status means that is not the same for all (2 and 3). */
  readonly exits: Readonly<Record<number, string>>
  readonly examples: readonly Example[]
  /** Below the options of `--help`; lines as they are. */
  readonly notes?: string
  /** What `--json` prints; without it there is no such option. */
  readonly answer?: Answer
  /** It goes on when nobody reads what it prints any more. */
  readonly isService?: true
}

export interface Example {
  readonly line: string
  readonly what: string
}

export interface Command extends Described {
  /** All, those that every command has among them. */
  readonly options: Options
  /** @returns the exit status. */
  run(args: readonly string[], table: CommandTable): Promise<number>
}

/** What a command is run with. */
export type Given<O extends Options> = Parsed<O> & {
  readonly values: { readonly json: boolean }
  /** Prints an answer of `--json`, a line. */
  answer(fields: object): Promise<void>
  /** The line that `answer` prints. */
  jsonText(fields: object): string
  readonly table: CommandTable
}

/** One row of the table. */
export function command<const O extends Options>(
  row: Described & {
    readonly options: O
    /** It is about the program alone: there is no state directory to name. */
    readonly isAboutItself?: true
    /** @returns the exit status. */
    run(given: Given<O>): Promise<number>
  },
): Command {
  const { run, isAboutItself, ...described } = row
  const options = {
    ...(isAboutItself ? {} : COMMON),
    ...row.options,
    ...(row.answer === undefined ? {} : { json: JSON_OPTION[row.answer.form] }),
  }
  return {
    ...described,
    options,
    run(args, table) {
      const parsed = parseOptions(args, options, row.words)
      const jsonText = (fields: object): string => jsonLine(row.name, fields)
      const answer = (fields: object): Promise<void> => print(jsonText(fields))
      return run({ ...(parsed as unknown as Given<O>), answer, jsonText, table })
    },
  }
}

/** @throws CountersinkError USAGE that names the nearest one */
export async function findCommand(table: CommandTable, name: string): Promise<Command> {
  if (Object.hasOwn(table, name)) return await table[name]!()
  const shown = printable(JSON.stringify(name))
  if (name.startsWith('-')) throw usage(`a command comes first, then its options; found ${shown}`)
  const near = nearest(name, Object.keys(table))
  throw usage(`there is no command ${shown}.${near === undefined ? '' : ` Did you mean ${near}?`}`)
}

export function commandsOf(table: CommandTable): Promise<Command[]> {
  return Promise.all(Object.values(table).map(load => load()))
}

/** An answer as `--json` prints it. */
export function jsonLine(command: string, fields: object): string {
  return `${JSON.stringify({ version: JSON_VERSION, command, ...fields })}\n`
}

/** What went wrong, as `--json` tells it. */
export function errorFields(thrown: unknown) {
  const { code, advice } = toError(thrown) as { code?: unknown; advice?: unknown }
  const isNamed = typeof code === 'string'
  return {
    error: {
      code: isNamed ? code : 'FAILED',
      message: withCause(thrown),
      advice: typeof advice === 'string' ? advice : null,
    },
  }
}

const JSON_OPTION = {
  object: { kind: 'switch', help: 'as JSON, one object' },
  lines: { kind: 'switch', help: 'as JSON, one object a line' },
} as const satisfies Options
