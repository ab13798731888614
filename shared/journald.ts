/**
 * systemd's journal, where it reads what we print: it takes the priority of a line from `<N>` before it
 * (sd-daemon(3)). It says in JOURNAL_STREAM which stream that is, by device and inode, so that one who
 * inherited the variable and prints elsewhere does not take itself for one.
 */

import { fstatSync } from 'node:fs'
import type { Level } from './log-line.ts'

/** As syslog counts them. */
const PRIORITIES: Readonly<Record<Level, number>> = {
  debug: 7,
  info: 6,
  notice: 5,
  warn: 4,
  error: 3,
}

export function isJournal(fd: number, variable = process.env.JOURNAL_STREAM): boolean {
  if (variable === undefined) return false
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true })
    return variable === `${dev}:${ino}`
  } catch {
    // It is closed.
    return false
  }
}

/** Whole lines, each with its priority. */
export function withPriority(text: string, level: Level): string {
  return text.replace(/^(?=.)/gm, `<${PRIORITIES[level]}>`)
}

/** The same where the journal reads standard error, and as it is where it does not. */
export function prioritised(text: string, level: Level): string {
  isOurs ??= isJournal(2)
  return isOurs ? withPriority(text, level) : text
}

let isOurs: boolean | undefined
