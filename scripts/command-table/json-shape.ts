/**
 * The shapes of what commands print with `--json`, as JSON Schema. Every object begins with `version` and
 * `command`, so each line of a stream can be understood alone. Within a version fields may be added, and
 * none is taken away or changed.
 */

export const JSON_VERSION = 1

/** The part of JSON Schema that is used here. */
export interface Shape {
  readonly type?: string
  readonly description?: string
  readonly const?: string | number | boolean | null
  readonly enum?: readonly (string | number)[]
  readonly pattern?: string
  readonly minimum?: number
  readonly properties?: Readonly<Record<string, Shape>>
  readonly required?: readonly string[]
  readonly items?: Shape
  readonly anyOf?: readonly Shape[]
}

/** What a command prints: one object, or one a line, each of one of these shapes. */
export interface Answer {
  readonly form: 'object' | 'lines'
  readonly shapes: readonly Shape[]
}

export const one = (...shapes: Shape[]): Answer => ({ form: 'object', shapes })
export const lines = (...shapes: Shape[]): Answer => ({ form: 'lines', shapes })

/** The schema of an answer: with what stands in every object, and with errors. */
export function answerSchema(command: string, { form, shapes }: Answer) {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `countersink ${command} --json`,
    description: form === 'object' ? 'what is printed' : 'each line that is printed',
    anyOf: [...shapes, ERROR].map(shape => {
      const common = { version: { const: JSON_VERSION }, command: { const: command } }
      return {
        ...shape,
        properties: { ...common, ...shape.properties },
        required: ['version', 'command', ...(shape.required ?? [])],
      }
    }),
  }
}

/** An object; the fields of `optional` may be missing. */
export function fields(
  properties: Readonly<Record<string, Shape>>,
  optional: Readonly<Record<string, Shape>> = {},
): Shape {
  return {
    ...{ type: 'object', properties: { ...properties, ...optional } },
    required: Object.keys(properties),
  }
}

export const text = (description?: string): Shape => ({ type: 'string', ...said(description) })
export const flag = (description?: string): Shape => ({ type: 'boolean', ...said(description) })
/** A number that is exact as one: below 2^53. */
export const count = (description?: string): Shape => {
  return { type: 'integer', minimum: 0, ...said(description) }
}
export const measure = (description?: string): Shape => {
  return { type: 'number', minimum: 0, ...said(description) }
}
/** An unsigned decimal number that may be past what a JSON number holds. */
export const digits = (description?: string): Shape => {
  return { type: 'string', pattern: String.raw`^\d{1,39}$`, ...said(description) }
}
export const sha256: Shape = { type: 'string', pattern: '^[0-9a-f]{64}$' }
export const time = (description?: string): Shape => {
  const pattern = String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`
  return { type: 'string', pattern, description: description ?? 'UTC' }
}
export const oneOf = (...words: readonly string[]): Shape => ({ type: 'string', enum: words })
export const list = (items: Shape, description?: string): Shape => {
  return { type: 'array', items, ...said(description) }
}
export const orNull = (shape: Shape, description?: string): Shape => {
  return { anyOf: [shape, { type: 'null' }], ...said(description) }
}

function said(description: string | undefined) {
  return description === undefined ? {} : { description }
}

const PROBLEM = {
  code: text('for programs'),
  message: text('for people'),
  advice: orNull(text('what to do')),
}
export const problem: Shape = fields(PROBLEM)
const ERROR = fields({ error: problem })
