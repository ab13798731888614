/**
 * What a process tells of itself, a line an event (`log-line.ts`), on standard error. The supervisor keeps
 * the lines in log/ and shows `warn` and `error` on the terminal; systemd's journal reads their priority.
 *
 * `debug` is each step. `info` is the normal course of each file. `notice` is that of the service: it
 * starts, stops, has its database, counts so much a minute. `warn` is unusual, but nothing is lost and
 * nobody has to act. `error` needs a person.
 *
 * Nothing is thrown out of a log.
 */

import { prioritised } from './journald.ts'
import {
  type Fields,
  isAtLeast,
  type Level,
  type LogFormat,
  lineNow,
  writeLine,
} from './log-line.ts'
import { steadyWriter } from './steady-writer.ts'

export type { Fields, Level } from './log-line.ts'

export type Log = { readonly [level in Level]: (message: string, fields?: Fields) => void }

/** As in the configuration; asked for at each line, since the level may change. */
export interface LogSettings {
  readonly logFormat: LogFormat
  readonly logLevel: Level
}

/** @param write gets lines with their ends. */
export function createLog(
  process: string,
  write: (line: string, level: Level) => void = onStandardError(),
  settings: () => LogSettings | undefined = () => undefined,
): Log {
  const at =
    (level: Level) =>
    (message: string, fields?: Fields): void => {
      const { logFormat, logLevel } = settings() ?? PLAIN
      if (!isAtLeast(level, logLevel)) return
      write(`${writeLine(logFormat, lineNow(level, process, message, fields))}\n`, level)
    }
  return {
    debug: at('debug'),
    info: at('info'),
    notice: at('notice'),
    warn: at('warn'),
    error: at('error'),
  }
}

const PLAIN: LogSettings = { logFormat: 'text', logLevel: 'info' }

/** A log that says nothing, for parts under test. */
export const silentLog: Log = createLog('silent', () => {})

/** Where it is not read, it is left out beyond a bound: nothing waits for a reader. */
function onStandardError(): (line: string, level: Level) => void {
  let write: ((text: string) => void) | undefined
  return (line, level) => {
    write ??= steadyWriter(process.stderr)
    write(prioritised(line, level))
  }
}
