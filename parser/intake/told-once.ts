import type { Fields, Log } from '../../shared/log.ts'

/** For what is looked at again and again: a log that says each warning about each name once. */
export function toldOnce(log: Log): Log {
  const told = new Set<string>()
  return {
    ...log,
    warn(message: string, fields: Fields = {}) {
      const key = `${message} ${fields.name ?? fields.path}`
      if (told.has(key)) return
      const [oldest] = told
      // Better twice than never.
      if (told.size === TOLD_MAX && oldest !== undefined) told.delete(oldest)
      told.add(key)
      log.warn(message, fields)
    },
  }
}

const TOLD_MAX = 10_000
