/**
 * What a request may say: each parameter as data, from which come the reading here and its description in the
 * OpenAPI document.
 */

import { nearest } from '../../shared/nearest.ts'
import { parseU64 } from '../../shared/numbers.ts'
import type { Shape } from '../command-table/index.ts'
import { badRequest, Problem } from './problem.ts'

export interface Param<T> {
  readonly in: 'path' | 'query'
  readonly help: string
  readonly schema: Shape
  /** What is allowed, for a refusal. */
  readonly allowed: string
  /** undefined: not allowed. */
  parse(text: string): T | undefined
}

export type Params = Readonly<Record<string, Param<unknown>>>

/** What is given: what stands in the path always is. */
export type Given<P extends Params> = {
  readonly [K in keyof P]: P[K] extends Param<infer T>
    ? P[K] extends { in: 'path' }
      ? T
      : T | undefined
    : never
}

/** @throws Problem USAGE (400), NOT_FOUND of what stands in the path and can be nothing. */
export function readParams<P extends Params>(
  params: P,
  path: Readonly<Record<string, string>>,
  query: URLSearchParams,
): Given<P> {
  const known = Object.entries(params)
    .filter(([, param]) => param.in === 'query')
    .map(([name]) => name)
  for (const name of query.keys()) {
    if (!known.includes(name)) throw badRequest(`there is no ${shown(name)}${hint(name, known)}`)
    if (query.getAll(name).length > 1) throw badRequest(`${name} is given more than once`)
  }
  const found = Object.entries(params).map(([name, param]) => {
    const text = (param.in === 'path' ? path[name] : query.get(name)) ?? undefined
    if (text === undefined) return [name, undefined]
    const value = param.parse(text)
    if (value !== undefined) return [name, value]
    throw badRequest(`${name} must be ${param.allowed}, got ${shown(text)}`)
  })
  return Object.fromEntries(found)
}

function hint(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  if (near !== undefined) return `; did you mean ${near}?`
  return known.length === 0 ? '; nothing can be given here' : `; there are ${known.join(', ')}`
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}

export const LIMIT_MAX = 500

export const limit = {
  in: 'query',
  help: 'at most so many; 50 without it',
  schema: { type: 'integer', minimum: 1 },
  allowed: `a whole number from 1 to ${LIMIT_MAX}`,
  parse(text) {
    const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
    return value >= 1 && value <= LIMIT_MAX ? value : undefined
  },
} as const satisfies Param<number>
export const LIMIT_DEFAULT = 50

export function textParam(help: string, charactersMax: number): Param<string> & { in: 'query' } {
  return {
    ...{ in: 'query', help, schema: { type: 'string' } },
    allowed: `a text of 1 to ${charactersMax} characters`,
    parse: text => (text.length >= 1 && text.length <= charactersMax ? text : undefined),
  }
}

export function matching<I extends 'path' | 'query'>(
  place: I,
  help: string,
  pattern: RegExp,
  allowed: string,
): Param<string> & { in: I } {
  return {
    ...{ in: place, help, schema: { type: 'string', pattern: pattern.source }, allowed },
    parse: text => (pattern.test(text) ? text : undefined),
  }
}

export function oneOfWords<const W extends readonly string[]>(
  help: string,
  words: W,
): Param<W[number]> & { in: 'query' } {
  return {
    ...{ in: 'query', help, schema: { type: 'string', enum: words } },
    allowed: `one of ${words.join(', ')}`,
    parse: (text): W[number] | undefined => words.find(word => word === text),
  }
}

/** A day of the calendar; when it begins is told by a clock. */
export const day = {
  in: 'query',
  help: 'of this day, by the time zone that "timeZone" names in the answer',
  schema: { type: 'string', pattern: String.raw`^\d{4}-\d\d-\d\d$` },
  allowed: 'a day such as 2026-01-31',
  parse(text) {
    const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00.000Z`) : Number.NaN
    return Number.isFinite(ms) && new Date(ms).toISOString().startsWith(text) ? text : undefined
  },
} as const satisfies Param<string>

export function timeParam(help: string): Param<number> & { in: 'query' } {
  return {
    ...{ in: 'query', help, schema: { type: 'string' } },
    allowed: 'a time in UTC such as 2026-01-31, 2026-01-31T23:59:59 or 2026-01-31T23:59:59.000Z',
    parse(text) {
      const [, date, time = 'T00:00:00'] =
        /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d(?:\.\d{1,3})?)?Z?$/.exec(text) ?? []
      const ms = Date.parse(`${date}${time}Z`)
      return Number.isFinite(ms) ? ms : undefined
    },
  }
}

export const consumerId = {
  in: 'path',
  help: 'the consumer',
  schema: { type: 'string', pattern: String.raw`^\d{1,20}$` },
  allowed: 'a whole number from 0 to 18446744073709551615',
  parse: parseU64,
} as const satisfies Param<bigint>

/** Where a page goes on from is not there any more. */
export function goneKey(after: string): Problem {
  return new Problem(
    404,
    'NOT_FOUND',
    `what stood at ${shown(after)} is not there any more`,
    'Begin anew without "after".',
  )
}
