import { printable } from './printable.ts'

/**
 * One line an event on standard error: `time LEVEL process message key=value …`.
 *
 * INFO is the normal course. WARN is unusual, but nothing is lost and nobody has to act. ERROR
 * needs a person. The supervisor keeps the lines in log/ and shows WARN and ERROR on the terminal.
 */
export type Level = 'INFO' | 'WARN' | 'ERROR'
export type Fields = Readonly<Record<string, string | number | bigint | boolean | undefined>>

export interface Log {
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

export function createLog(
  processName: string,
  write: (line: string) => void = line => void process.stderr.write(line),
): Log {
  const emit = (level: Level, message: string, fields: Fields = {}): void => {
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${key}=${quoted(String(value))}`)
      .join('')
    write(`${printable(`${new Date().toISOString()} ${level} ${processName} ${message}${rest}`)}\n`)
  }
  return {
    info: (message, fields) => emit('INFO', message, fields),
    warn: (message, fields) => emit('WARN', message, fields),
    error: (message, fields) => emit('ERROR', message, fields),
  }
}

/** A log that says nothing, for parts under test. */
export const silentLog: Log = createLog('silent', () => {})

const LEVELS: ReadonlySet<string> = new Set<Level>(['INFO', 'WARN', 'ERROR'])

/** The level of a line made by `createLog`; undefined for a line from elsewhere. */
export function levelOf(line: string): Level | undefined {
  const word = line.split(' ', 2)[1]
  return word !== undefined && LEVELS.has(word) ? (word as Level) : undefined
}

function quoted(text: string): string {
  return /^[\w.,:/@+-]+$/.test(text) ? text : JSON.stringify(text)
}
