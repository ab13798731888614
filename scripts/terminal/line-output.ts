/**
 * What `up` prints. For people that is its progress, on standard output. For programs it is every line of
 * every log, on standard error: with priorities where systemd's journal reads it (if that reads standard
 * output alone, there).
 */

import type { Config } from '../../shared/config.ts'
import { isJournal, withPriority } from '../../shared/journald.ts'
import type { Level } from '../../shared/log.ts'
import { lineNow, writeLine } from '../../shared/log-line.ts'
import { steadyWriter } from '../../shared/steady-writer.ts'

/** Gets lines of logs, without their ends. */
export type LineWriter = (written: string, level: Level) => void

/** @returns undefined: progress is what is wanted. */
export function lineWriter(config: Pick<Config, 'output' | 'logFormat'>): LineWriter | undefined {
  const { output, logFormat } = config
  const journal = [process.stderr, process.stdout].find(({ fd }) => isJournal(fd))
  const isForJournal = output === 'journal' || (output === 'auto' && journal !== undefined)
  const isForPrograms = output === 'auto' && logFormat === 'json' && !process.stdout.isTTY
  if (!isForJournal && !isForPrograms && output !== 'lines') return undefined
  const stream = isForJournal ? (journal ?? process.stderr) : process.stderr
  const write = steadyWriter(stream, leftOut => {
    const message = `${leftOut} lines were not read, and left out`
    return writeLine(logFormat, lineNow('warn', 'supervisor', message))
  })
  return (written, level) => {
    write(`${isForJournal ? withPriority(written, level) : written}\n`)
  }
}
