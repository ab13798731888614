import { formatBytes, parseBytes } from './numbers.ts'

/** What a value is in the configuration file, as JSON Schema says it. */
export interface ValueSchema {
  readonly type: 'string' | 'integer' | readonly ['integer', 'string']
  readonly minimum?: number
  readonly maximum?: number
  readonly enum?: readonly string[]
  readonly pattern?: string
}

/** What one tunable is: how it is called, what it means, and which texts are values of it. */
export interface Setting<T> {
  /** The environment variable. */
  readonly variable: string
  readonly meaning: string
  /** In the form an operator would write. */
  readonly default: string
  /** What is allowed, for the message of a refusal. */
  readonly allowed: string
  readonly schema: ValueSchema
  /** It may hold a password: never shown as it is, and it may stand in a file of its own. */
  readonly isSecret?: true
  /** undefined: not allowed. */
  parse(text: string): T | undefined
  /** A value that is not allowed, for its refusal: without what is secret in it, and why. */
  refused?(text: string): string
}

/** What a size looks like; whether it is in the range is seen when it is read. */
const SIZE = String.raw`\s*\d+(\.\d+)?\s*([kKmMgGtT]([iI]?[bB])|[bB])?\s*`
const SIZE_PATTERN = `^${SIZE}$`
export const SIZES_PATTERN = `^${SIZE}(-${SIZE})?$`

const SQL_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,47}$/

export function count(
  variable: string,
  meaning: string,
  fallback: number,
  min: number,
  max: number,
) {
  return {
    variable,
    meaning,
    default: String(fallback),
    allowed: `a whole number from ${min} to ${max}`,
    schema: { type: 'integer', minimum: min, maximum: max },
    parse(text: string): number | undefined {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max ? value : undefined
    },
  } satisfies Setting<number>
}

export function bytes(
  variable: string,
  meaning: string,
  fallback: string,
  min: number,
  max: number,
) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: `a size from ${formatBytes(min)} to ${formatBytes(max)}, such as 64MiB`,
    schema: {
      type: ['integer', 'string'],
      ...{ minimum: min, maximum: max, pattern: SIZE_PATTERN },
    },
    parse(text: string): number | undefined {
      const value = parseBytes(text)
      return value !== undefined && value >= min && value <= max ? value : undefined
    },
  } satisfies Setting<number>
}

export function choice<T extends string>(
  variable: string,
  meaning: string,
  options: readonly [T, ...T[]],
  fallback: T = options[0],
) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: options.join(' or '),
    schema: { type: 'string', enum: options },
    parse: (text: string): T | undefined => options.find(option => option === text),
  } satisfies Setting<T>
}

/** So many days, or without end. */
export type DaysKept = number | 'forever'

export function daysKept(variable: string, meaning: string, fallback: string) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: `a number of days from 1d to ${DAYS_KEPT_MAX}d, or forever`,
    schema: { type: 'string', pattern: String.raw`^(forever|\d{1,5}d)$` },
    parse(text: string): DaysKept | undefined {
      if (text === 'forever') return text
      const days = /^\d{1,5}d$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN
      return days >= 1 && days <= DAYS_KEPT_MAX ? days : undefined
    },
  } satisfies Setting<DaysKept>
}

/** As many as there are times of usage, in whole years. */
const DAYS_KEPT_MAX = 36_500

/** A file, or none. */
export function path(variable: string, meaning: string) {
  return {
    variable,
    meaning,
    default: '',
    allowed: 'a path from / on, of at most 4096 characters',
    schema: { type: 'string', pattern: '^(/.{0,4095})?$' },
    parse: (text: string): string | undefined =>
      /^(\/.{0,4094}[^/])?$/.test(text) && !text.includes('\0') ? text : undefined,
  } satisfies Setting<string>
}

export function sqlName(variable: string, meaning: string, fallback: string) {
  return {
    variable,
    meaning,
    default: fallback,
    allowed: 'a name of letters, digits and _ (at most 48)',
    schema: { type: 'string', pattern: SQL_NAME.source },
    parse: (text: string): string | undefined => (SQL_NAME.test(text) ? text : undefined),
  } satisfies Setting<string>
}
