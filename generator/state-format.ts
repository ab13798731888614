import { parseU64, parseU128 } from '../shared/numbers.ts'
import type { EarlierStream, GeneratorState } from './state-shape.ts'

/** state.json as text: JSON with 64-bit numbers and larger as decimal strings. */
const STATE_VERSION = 1

export function formatGeneratorState(state: GeneratorState): string {
  const asText = (_key: string, value: unknown): unknown =>
    typeof value === 'bigint' ? value.toString() : value
  return `${JSON.stringify({ version: STATE_VERSION, ...state }, asText, 1)}\n`
}

/** @throws Error naming the field. Unknown fields are ignored. */
export function parseGeneratorState(text: string): GeneratorState {
  const fields = new Fields('', JSON.parse(text))
  const version = fields.count('version')
  if (version !== STATE_VERSION) throw new Error(`its version is ${version}, not ${STATE_VERSION}`)
  const state: GeneratorState = {
    ...parseStream(fields),
    pending: fields.nullable('pending', f => ({
      tmp: f.text('tmp', /^[^/]{1,255}$/),
      name: f.text('name', /^[^/]{1,200}$/),
      sizeBytes: f.count('sizeBytes'),
      sha256: f.text('sha256', /^[0-9a-f]{64}$/),
      lines: f.count('lines'),
      amount: f.big('amount', parseU128),
      ...f.optional('usedAtMs', () => f.count('usedAtMs')),
    })),
    run: fields.nullable('run', f => ({
      id: f.text('id', /^.{1,100}$/),
      firstNumber: f.count('firstNumber'),
      published: f.count('published'),
    })),
    earlier: fields.list('earlier').map(parseStream),
  }
  const { run, pending, nextNumber } = state
  const made = (run?.published ?? 0) + (pending === null ? 0 : 1)
  if (run !== null && run.firstNumber + made !== nextNumber) {
    throw new Error('its run and its next number contradict each other')
  }
  return state
}

function parseStream(fields: Fields): EarlierStream {
  const control = fields.map('control')
  return {
    stream: fields.text('stream', /^[0-9a-f]{8}$/),
    seed: fields.big('seed', parseU64),
    // Of an earlier version: now, which is written with the next step.
    calendarEndMs: Date.now(),
    ...fields.optional('calendarEndMs', () => fields.count('calendarEndMs')),
    nextNumber: fields.count('nextNumber'),
    control: {
      files: control.count('files'),
      bytes: control.count('bytes'),
      lines: control.count('lines'),
      amount: control.big('amount', parseU128),
    },
  }
}

/** Typed access to a JSON object; refuses with the path of the field. */
class Fields {
  readonly #path: string
  readonly #values: Readonly<Record<string, unknown>>

  constructor(path: string, value: unknown) {
    if (typeof value !== 'object' || value === null) throw new Error(`${path || 'it'} is no object`)
    this.#path = path
    this.#values = value as Record<string, unknown>
  }

  #at(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  count(key: string): number {
    const value = this.#values[key]
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw new Error(`${this.#at(key)} is no whole number`)
  }

  text(key: string, pattern: RegExp): string {
    const value = this.#values[key]
    if (typeof value === 'string' && pattern.test(value)) return value
    throw new Error(`${this.#at(key)} is not as it should be`)
  }

  big(key: string, parse: (text: string) => bigint | undefined): bigint {
    const value = parse(this.text(key, /^/))
    if (value === undefined) throw new Error(`${this.#at(key)} is no decimal number in its range`)
    return value
  }

  map(key: string): Fields {
    return new Fields(this.#at(key), this.#values[key])
  }

  optional<K extends string, T>(key: K, read: () => T): { [key in K]?: T } {
    return this.#values[key] === undefined ? {} : ({ [key]: read() } as { [key in K]?: T })
  }

  nullable<T>(key: string, read: (fields: Fields) => T): T | null {
    return this.#values[key] === null ? null : read(this.map(key))
  }

  list(key: string): Fields[] {
    const value = this.#values[key]
    if (!Array.isArray(value)) throw new Error(`${this.#at(key)} is no list`)
    return value.map((one, i) => new Fields(`${this.#at(key)}[${i}]`, one))
  }
}
