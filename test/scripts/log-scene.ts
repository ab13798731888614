import { type ChildLog, Logs, type LogsOptions } from '../../scripts/supervising/logs.ts'

export const LOGGING = { logFormat: 'text', logLevel: 'info', logBytesMax: 8 * 2 ** 20 } as const

/** The logs of a supervisor, in a directory. */
export function logsIn(directory: string, options: Partial<LogsOptions> = {}): Logs {
  const silent = { onTrouble: () => {}, onNotice: () => {} }
  return new Logs({ directory, config: LOGGING, ...silent, ...options })
}

/** The log `parser.log` of a child there. */
export function childLogIn(directory: string, onTrouble: (text: string) => void = () => {}) {
  return logsIn(directory, { onTrouble }).ofChild('parser') satisfies ChildLog
}
