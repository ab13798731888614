/**
 * The manual page, as mdoc(7). It is made of the table and the settings, and of nothing that differs from
 * one build to the next.
 */

import { SETTINGS } from '../../shared/settings.ts'
import type { Command } from './command.ts'
import { optionHelp } from './help-text.ts'
import { type Option, standsAlone } from './options.ts'
import { synopsis } from './synopsis.ts'

/** The day of the release that CHANGELOG.md begins with; until it has one, of the last change here. */
export const DATED = 'November 26, 2026'

/** What is so for every command. */
const EXITS = {
  0: 'yes, or done',
  1: 'the negative answer',
  2: 'the command line or the configuration is wrong',
  3: 'it cannot be answered or done now',
  130: 'it was interrupted before there was an answer',
}

const FILES = {
  './var': 'The state directory, where no other is named.',
  'countersink.json': 'The configuration, in the state directory.',
  'inbox/': 'Whatever is put here is counted.',
  'archive/YYYY/MM/DD/': 'What was counted on that day (UTC).',
  'duplicate/': 'What had been counted before.',
  'reverted/': 'What was counted and taken back.',
  'held/': 'What a person decides about, each with a file that says why.',
  'rejects/': 'Bad lines of files that are counted without them.',
  'quarantine/': 'What was refused, each with a file that says why.',
  'log/': 'What the processes say.',
}

export function manualPage(commands: readonly Command[], version: string): string {
  return [
    `.Dd ${DATED}`,
    '.Dt COUNTERSINK 1',
    `.Os countersink ${version}`,
    '.Sh NAME',
    '.Nm countersink',
    '.Nd exact totals in MariaDB from files of consumers and amounts',
    '.Sh SYNOPSIS',
    '.Nm',
    '.Ar COMMAND',
    '.Op Ar OPTION ...',
    '.Sh DESCRIPTION',
    '.Nm',
    ...prose(
      'turns an endless stream of files of lines "consumer amount" into exact totals per consumer in MariaDB. Each distinct content is counted exactly once, whatever dies in between. Files come into an inbox; a parser takes each over durably, reads it to its end, and adds its sums to the totals in one transaction with the proof that it did.',
    ),
    '.Sh COMMANDS',
    ...commands.flatMap(ofCommand),
    '.Sh ENVIRONMENT',
    ...prose(
      'Every setting is a variable, and a key of the configuration file: the same name in camel case. A variable goes before the file.',
    ),
    ...tagged(
      Object.values(SETTINGS).map(({ variable, meaning, allowed, default: value }) => [
        `Ev ${variable}`,
        `${sentence(meaning)} Allowed: ${sentence(allowed)}${value === '' ? '' : ` Default: ${sentence(value)}`}`,
      ]),
    ),
    '.Sh FILES',
    ...tagged(Object.entries(FILES).map(([path, what]) => [`Pa ${path}`, what])),
    '.Sh EXIT STATUS',
    ...tagged(Object.entries(EXITS).map(([status, what]) => [`Li ${status}`, sentence(what)])),
    '.Sh EXAMPLES',
    ...commands
      .flatMap(({ examples }) => examples)
      .flatMap(example)
      .slice(1),
    '',
  ].join('\n')
}

function ofCommand(command: Command): string[] {
  const { name, about, words, options, exits, answer } = command
  const pieces = synopsis(command).flatMap(piece => prose(piece))
  const listed = Object.entries(options).map(([option, spec]): [string, string] => [
    optionHead(option, spec),
    sentence(optionHelp(spec, option === 'json' ? answer : undefined)),
  ])
  const choices =
    words?.kind === 'choice'
      ? Object.entries(words.choices).map(([word, what]): [string, string] => [
          `Cm ${word}`,
          sentence(what),
        ])
      : []
  return [
    `.Ss countersink ${name}`,
    '.Bd -ragged -offset indent -compact',
    `.Nm Cm ${name}`,
    ...pieces,
    '.Ed',
    ...paragraphs(about),
    ...tagged(choices),
    ...tagged(listed),
    '.Pp',
    'Exit status:',
    ...tagged(Object.entries(exits).map(([status, what]) => [`Li ${status}`, sentence(what)])),
  ]
}

function optionHead(name: string, option: Option): string {
  const flag = `Fl \\-${name.replaceAll('-', '\\-')}`
  if (option.kind === 'switch') return flag
  const value = `Ar ${option.value}`
  return standsAlone(option) ? `${flag} Ns Op = Ns ${value}` : `${flag} ${value}`
}

function paragraphs(text: string): string[] {
  return text
    .trim()
    .split(/\n\n+/)
    .flatMap(paragraph => ['.Pp', ...prose(paragraph)])
}

function tagged(entries: readonly (readonly [head: string, text: string])[]): string[] {
  if (entries.length === 0) return []
  const items = entries.flatMap(([head, text]) => [`.It ${head}`, ...prose(text)])
  return ['.Bl -tag -width Ds', ...items, '.El']
}

function example({ line, what }: Command['examples'][number]): string[] {
  const shown = line.split(' ').map(escaped).join(' ')
  return ['.Pp', ...prose(`${sentence(what)}`), `.Dl ${shown.replaceAll('"', '\\(dq')}`]
}

const COLUMNS = 76

/** Sentences each begin a line, which is how mdoc knows them, and lines are short. */
function prose(text: string): string[] {
  return text
    .replace(/\s+/g, ' ')
    .trim()
    .split(/(?<=[.!?]) (?=["A-Z])/)
    .flatMap(sentence => filled(sentence.split(' ')))
    .map(line => escaped(line).replace(/^[.']/, '\\&$&'))
}

function filled(words: readonly string[]): string[] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < COLUMNS) {
      lines[lines.length - 1] = `${last} ${word}`
    } else {
      lines.push(word)
    }
  }
  return lines
}

function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('--', '\\-\\-')
    .replace(
      /[^\n -~]/gu,
      char => `\\[u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}

function sentence(text: string): string {
  const begun = /^[a-z]+\b(?![-=_])/.test(text) ? `${text[0]!.toUpperCase()}${text.slice(1)}` : text
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`
}
