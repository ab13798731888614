import { usage } from './cli.ts'

/** As it was given: a moment, or what clocks show somewhere then, as `2026-01-31T23:59`. */
export type GivenTime = { readonly ms: number } | { readonly local: string }

/** A time that an option gives. Without a zone it is UTC, as all times that are shown. */
export function timeOf(option: string, text: string | undefined): number | undefined {
  const given = givenTime(option, text)
  return given === undefined ? undefined : 'ms' in given ? given.ms : Date.parse(`${given.local}Z`)
}

/** The same of one that is local without a zone. */
export function givenTime(option: string, text: string | undefined): GivenTime | undefined {
  if (text === undefined) return undefined
  const [, date, time = '00:00', zone] = TIME.exec(text) ?? []
  const ms = date === undefined ? Number.NaN : Date.parse(`${date}T${time}${zone ?? 'Z'}`)
  if (!Number.isNaN(ms) && isThere(date!)) {
    return zone === undefined ? { local: `${date}T${time}` } : { ms }
  }
  if (!Number.isNaN(ms))
    throw usage(`--${option}: there is no day ${date}, got ${JSON.stringify(text)}`)
  throw usage(
    `--${option} must be a time like 2026-01-31 or 2026-01-31T23:59:59, got ${JSON.stringify(text)}`,
  )
}

/** The 31st of February is parsed as the 3rd of March. */
function isThere(date: string): boolean {
  return new Date(`${date}T00:00Z`).toISOString().startsWith(date)
}

const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?(Z|[+-]\d\d:\d\d)?$/
