/** What can stand in a place of the command line, for every shell. */

import type { Command } from './command.ts'
import type { Option, Words } from './options.ts'

/** Words to choose from; or what the shell knows itself; or nothing. */
export type Completed = readonly string[] | 'file' | 'directory' | 'nothing'

export function valuesOf(option: Option): Completed {
  if (option.kind === 'choice') return option.choices
  return option.kind === 'file' || option.kind === 'directory' ? option.kind : 'nothing'
}

export function wordsOf(words: Words | undefined, commands: readonly Command[]): Completed {
  if (words?.kind === 'command') return commands.map(({ name }) => name)
  if (words?.kind === 'choice') return Object.keys(words.choices)
  return words?.kind ?? 'nothing'
}

/** Beside a word that is completed there is little room: the first part, without what is in brackets. */
export function brief(help: string): string {
  return help.split(/[;:,]| \(/)[0] ?? help
}

/** Every command knows it. */
export const HELP = { name: 'help', help: 'explain the command' }
