/**
 * The logs of a service: a file for the supervisor and one for each child, all in one format. What a
 * child writes on its standard error is passed on as it is; what is no line of a log (node's own last
 * words, say) becomes one where lines are JSON, so that each line of a file can be read.
 *
 * Whoever reads along hears each line, also before there is a file for it and while none can be written.
 */

import type { Config } from '../../shared/config.ts'
import { createLog, type Level, type Log } from '../../shared/log.ts'
import { isAtLeast, type LogLine, lineNow, readLine, writeLine } from '../../shared/log-line.ts'
import { LogFile } from './log-file.ts'

export interface LogsOptions {
  readonly directory: string
  readonly config: Pick<Config, 'logFormat' | 'logLevel' | 'logBytesMax'>
  /** Each line, as it is written, without its end. */
  readonly onLine?: (written: string, level: Level) => void
  /** A warning or an error of a child, as a person reads it. */
  readonly onTrouble: (text: string) => void
  /** A log cannot be written, or can again. */
  readonly onNotice: (text: string) => void
}

export class Logs {
  readonly #options: LogsOptions
  readonly #files = new Map<string, LogFile>()
  /** The supervisor's own. */
  readonly supervisor: Log

  constructor(options: LogsOptions) {
    this.#options = options
    this.supervisor = createLog(
      SUPERVISOR,
      (line, level) => this.#write(SUPERVISOR, line.trimEnd(), level),
      () => options.config,
    )
  }

  /** Once there is a directory for it. */
  open(): void {
    this.#open(SUPERVISOR)
    this.supervisor.notice('begins', { pid: process.pid })
  }

  ofChild(name: string): ChildLog {
    this.#open(name)
    return {
      said: text => this.#said(name, text),
      note: text => this.#write(name, this.#remark(text, SUPERVISOR), 'warn'),
      close: () => this.#files.get(name)?.close(),
    }
  }

  /** They have been moved away. */
  reopen(): void {
    for (const file of this.#files.values()) file.reopen()
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
  }

  #open(name: string): void {
    const { directory, config, onNotice } = this.#options
    const file = new LogFile(`${directory}/${name}.log`, {
      ...{ bytesMax: config.logBytesMax, onTrouble: onNotice },
      remark: text => this.#remark(text, SUPERVISOR),
    })
    this.#files.set(name, file)
  }

  #said(name: string, text: string): LogLine | undefined {
    const line = readLine(text)
    const isForeign = line === undefined && this.#options.config.logFormat === 'json'
    this.#write(name, isForeign ? this.#remark(text, name) : text, line?.level ?? 'warn')
    if (line !== undefined && isAtLeast(line.level, 'warn')) {
      this.#options.onTrouble(writeLine('text', line))
    }
    return line
  }

  #write(name: string, written: string, level: Level): void {
    this.#files.get(name)?.write(written)
    this.#options.onLine?.(written, level)
  }

  /** A line that no log has made. */
  #remark(message: string, process: string): string {
    const { logFormat } = this.#options.config
    if (logFormat === 'text') return `-- ${message}`
    return writeLine(logFormat, lineNow('warn', process, message))
  }
}

/** What a child has to do with the logs. */
export interface ChildLog {
  /** @returns what its line says; undefined: it is none of a log. */
  said(text: string): LogLine | undefined
  /** What has become of it. */
  note(text: string): void
  close(): void
}

const SUPERVISOR = 'supervisor'
