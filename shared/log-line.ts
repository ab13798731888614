/**
 * One line of a log, as text or as JSON: what stands in it, how it is written, how it is read again.
 *
 * - text: `time LEVEL process message key=value …`; of a hash the first 16 digits; a stack below it.
 * - json: one object, `time` (UTC, milliseconds), `level`, `process`, `message`, then the fields. Amounts
 *   and other 64-bit numbers are strings, hashes whole. `code` is there whenever a text of the line
 *   begins with the code of an error or of a reason.
 *
 * Either way a line has one line end, and no character that moves a cursor.
 */

import { printable, printableLines } from './printable.ts'

/** From the least to the most urgent; what each means is in README. */
export const LEVELS = ['debug', 'info', 'notice', 'warn', 'error'] as const
export type Level = (typeof LEVELS)[number]

export const LOG_FORMATS = ['text', 'json'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

type Value = string | number | bigint | boolean | undefined
/** The four names that each line has are taken. */
export type Fields = Readonly<Record<string, Value>> & {
  readonly [name in 'time' | 'level' | 'process' | 'message']?: never
}

export interface LogLine {
  /** UTC, ISO-8601. */
  readonly time: string
  readonly level: Level
  readonly process: string
  readonly message: string
  readonly fields: Fields
}

export function isAtLeast(level: Level, least: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least)
}

export function lineNow(
  level: Level,
  process: string,
  message: string,
  fields: Fields = {},
): LogLine {
  return { time: new Date().toISOString(), level, process, message, fields }
}

/** Without a line end. */
export function writeLine(format: LogFormat, line: LogLine): string {
  return format === 'json' ? asJson(line) : asText(line)
}

/** A line that was written so; undefined: it comes from elsewhere. Of text, fields stay in the message. */
export function readLine(written: string): LogLine | undefined {
  return written.startsWith('{') ? fromJson(written) : fromText(written)
}

function asText({ time, level, process, message, fields }: LogLine): string {
  const { stack, ...others } = fields
  const rest = Object.entries(others)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${quoted(shown(name, String(value)))}`)
    .join('')
  const text = printable(`${time} ${level.toUpperCase()} ${process} ${message}${rest}`)
  return stack === undefined ? text : `${text}\n${printableLines(String(stack))}`
}

function asJson({ time, level, process, message, fields }: LogLine): string {
  const { code = codeIn(message, fields.because, fields.reason), ...others } = fields
  const whole = { time, level, process, message, code, ...others }
  return printable(
    JSON.stringify(whole, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
  )
}

function fromText(written: string): LogLine | undefined {
  const [, time = '', word = '', process = '', message = ''] = TEXT.exec(written) ?? []
  const level = levelCalled(word.toLowerCase())
  return level && { time, level, process, message, fields: {} }
}

function fromJson(written: string): LogLine | undefined {
  let found: Readonly<Record<string, unknown>>
  try {
    found = JSON.parse(written)
  } catch {
    // It only begins like one.
    return undefined
  }
  const { time, level: word, process, message, ...fields } = found
  const level = levelCalled(word)
  const texts = [time, process, message].every(one => typeof one === 'string')
  return texts && level ? ({ time, level, process, message, fields } as LogLine) : undefined
}

const TEXT = /^(\S+) ([A-Z]+) (\S+) (.*)$/s

function levelCalled(word: unknown): Level | undefined {
  return LEVELS.find(level => level === word)
}

/** What `describeError`, `systemReason` and `reasonText` put before their text. */
const CODE = /(?:^|: |\()([A-Z][A-Z0-9_]{2,}): /

function codeIn(...texts: readonly Value[]): string | undefined {
  for (const text of texts) {
    const code = typeof text === 'string' ? CODE.exec(text)?.[1] : undefined
    if (code !== undefined) return code
  }
  return undefined
}

function shown(name: string, text: string): string {
  return name === 'sha256' ? text.slice(0, 16) : text
}

function quoted(text: string): string {
  return /^[\w.,:/@+-]+$/.test(text) ? text : JSON.stringify(text)
}
