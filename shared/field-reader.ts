import { CountersinkError } from './errors.ts'
import { TIME_MS_MAX } from './limits.ts'
import { parseU128 } from './numbers.ts'
import { isTimeOfUsage } from './terms.ts'

/** Reads own properties only, one level deep. */
export class FieldReader {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(fields: object) {
    this.#fields = fields as Record<string, unknown>
  }

  #own(key: string): unknown {
    return Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined
  }

  optional<K extends string, T>(key: K, read: () => T): { [key in K]?: T } {
    return this.#own(key) === undefined ? {} : ({ [key]: read() } as { [key in K]?: T })
  }

  text(key: string, charactersMax: number): string {
    const value = this.#own(key)
    if (typeof value === 'string' && value.length <= charactersMax) return value
    throw invalid(`${key} must be a text of at most ${charactersMax} characters`)
  }

  count(key: string): number {
    const raw = this.#own(key)
    // Other msgpack writers send what is past 32 bits as uint64, which decodes as a bigint.
    const value = typeof raw === 'bigint' ? Number(raw) : raw
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw invalid(`${key} must be a whole number from 0 to 2^53-1`)
  }

  /** One that the ledger can keep. */
  timeMs(key: string): number {
    const value = this.count(key)
    if (value <= TIME_MS_MAX) return value
    throw invalid(`${key} must be milliseconds since 1970, at most ${TIME_MS_MAX}`)
  }

  timeOfUsageMs(key: string): number {
    const value = this.count(key)
    if (isTimeOfUsage(value)) return value
    throw invalid(`${key} must be milliseconds since 1970 of a time in the years from 2000 to 2099`)
  }

  amount(key: string): string {
    const value = this.text(key, 40)
    if (parseU128(value) !== undefined) return value
    throw invalid(`${key} must be a decimal string below 2^128`)
  }

  sha256(key: string): string {
    const value = this.text(key, 64)
    if (/^[0-9a-f]{64}$/.test(value)) return value
    throw invalid(`${key} must be 64 lower-case hex digits`)
  }

  origin(key: string): string {
    const value = this.text(key, 32)
    if (/^[0-9a-f]{32}$/.test(value)) return value
    throw invalid(`${key} must be 32 lower-case hex digits`)
  }

  oneOf<T extends string>(key: string, allowed: readonly T[]): T {
    const value = this.#own(key)
    const found = allowed.find(one => one === value)
    if (found !== undefined) return found
    throw invalid(`${key} must be one of ${allowed.join(', ')}`)
  }

  map(key: string): object {
    const value = this.#own(key)
    if (typeof value === 'object' && value !== null) return value
    throw invalid(`${key} must be a map`)
  }
}

export function invalid(why: string): CountersinkError {
  return new CountersinkError('MESSAGE_INVALID', why)
}
