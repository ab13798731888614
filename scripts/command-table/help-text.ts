/** What `--help` and `countersink help` print. */

import { labelled, wrapText } from '../terminal/index.ts'
import type { Command } from './command.ts'
import type { Answer } from './json-shape.ts'
import type { Option } from './options.ts'
import { named, synopsis } from './synopsis.ts'

const COLUMNS = 100
const LABEL_COLUMNS = { min: 18, max: 24 }

export function helpText(command: Command): string {
  const usage = labelled(`Usage: countersink ${command.name} `, filled(synopsis(command)))
  if (usage.length === 0) usage.push(`Usage: countersink ${command.name}`)
  const parts = [usage, [command.about.trim()]]
  if (command.words?.kind === 'choice') parts.push(labelledLines(command.words.choices))
  const exits = Object.entries(command.exits).map(([status, what]) => `${status} ${what}`)
  parts.push(wrapText(`Exit status: ${exits.join('; ')}.`, COLUMNS))
  if (Object.keys(command.options).length > 0) parts.push(optionLines(command))
  if (command.notes !== undefined) parts.push([command.notes])
  if (command.examples.length > 0) {
    parts.push([
      'Examples:',
      ...command.examples.flatMap(({ line, what }) => [`  ${line}`, `      ${what}`]),
    ])
  }
  return `${parts.map(lines => lines.join('\n')).join('\n\n')}\n`
}

/** The list of commands, and what is so for all of them. */
export function overviewText(commands: readonly Command[]): string {
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`)
  return `countersink turns files of lines "consumer amount" into exact totals in MariaDB.

Usage: countersink COMMAND [OPTION]…

${list.join('\n')}

"countersink help COMMAND" or COMMAND --help explains each. Commands on a service know --dir D (the state
directory, default ./var) and --config FILE, and those that answer --json.
Exit status: 0 yes or done, 1 the negative answer, 2 wrong usage, 3 cannot answer now,
130 interrupted before there was an answer.
`
}

/** What is said of an option: also what it may be, and is without it. */
export function optionHelp(option: Option, answer?: Answer): string {
  const parts = [option.help]
  if (option.kind === 'choice') parts.push(`one of ${option.choices.join(', ')}`)
  if ('default' in option && option.default !== '') parts.push(`default: ${option.default}`)
  const [first = '', ...more] = parts
  const aside = more.length === 0 ? first : `${first} (${more.join('; ')})`
  return answer === undefined ? aside : `${aside}: ${answerFields(answer)}`
}

/** The names of the fields, of all shapes. */
function answerFields({ shapes }: Answer): string {
  const names = new Set(shapes.flatMap(({ properties }) => Object.keys(properties ?? {})))
  return `version, command, ${[...names].join(', ')}`
}

function optionLines({ options, answer }: Command): string[] {
  const lines = Object.entries(options).map(([name, option]) => {
    return [named(name, option), optionHelp(option, name === 'json' ? answer : undefined)] as const
  })
  return labelledLines(Object.fromEntries(lines))
}

function labelledLines(texts: Readonly<Record<string, string>>): string[] {
  const longest = Math.max(...Object.keys(texts).map(label => label.length))
  const columns = Math.min(Math.max(longest, LABEL_COLUMNS.min), LABEL_COLUMNS.max)
  return Object.entries(texts).flatMap(([label, text]) => {
    return labelled(`  ${label.padEnd(columns)} `, wrapText(text, COLUMNS - columns - 3))
  })
}

function filled(pieces: readonly string[]): string[] {
  const lines: string[] = []
  for (const piece of pieces) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + piece.length < COLUMNS - 24) {
      lines[lines.length - 1] = `${last} ${piece}`
    } else {
      lines.push(piece)
    }
  }
  return lines
}
