/**
 * Compares an answer with the shape that it is documented to have. It is stricter than JSON Schema is to others: a
 * field that the shape does not name is a misfit.
 */

import { COMMANDS } from '../../scripts/command-line.ts'
import { answerSchema, type Shape } from '../../scripts/command-table/index.ts'
import type { Ended } from './processes.ts'

/** @throws Error that names the command and the field, if a line is not as documented. */
export async function assertDocumented(command: string, { stdout }: Ended): Promise<void> {
  const found = stdout.split('\n').filter(line => line !== '')
  for (const line of found) {
    const why = await undocumented(command, JSON.parse(line))
    if (why !== undefined) throw new Error(`${command} --json: ${why}: ${line.slice(0, 400)}`)
  }
}

/** Why this cannot be an answer of the command. */
export async function undocumented(command: string, answer: unknown): Promise<string | undefined> {
  const load = COMMANDS[command]
  const documented = (await load?.())?.answer
  if (documented === undefined) return 'it is not documented'
  return misfit(answer, answerSchema(command, documented), 'answer')
}

export function misfit(value: unknown, shape: Shape, at: string): string | undefined {
  if (shape.anyOf !== undefined) {
    const whys = shape.anyOf.map(one => misfit(value, one, at))
    return whys.includes(undefined) ? undefined : whys.join('; or ')
  }
  if ('const' in shape && value !== shape.const) return `${at} is not ${shape.const}`
  if (shape.enum !== undefined && !shape.enum.some(one => one === value)) {
    return `${at} is none of ${shape.enum.join(', ')}`
  }
  if (shape.type !== undefined && !isOfType(value, shape.type)) return `${at} is no ${shape.type}`
  if (typeof value === 'number' && value < (shape.minimum ?? value)) return `${at} is too small`
  if (typeof value === 'string' && !new RegExp(shape.pattern ?? '').test(value)) {
    return `${at} does not match ${shape.pattern}`
  }
  if (Array.isArray(value)) {
    return value.map((one, i) => misfit(one, shape.items ?? {}, `${at}[${i}]`)).find(Boolean)
  }
  if (typeof value !== 'object' || value === null || shape.properties === undefined)
    return undefined
  const missing = shape.required?.find(name => !Object.hasOwn(value, name))
  if (missing !== undefined) return `${at}.${missing} is missing`
  for (const [name, field] of Object.entries(value)) {
    const known = shape.properties[name]
    if (known === undefined) return `${at}.${name} is not documented`
    const why = misfit(field, known, `${at}.${name}`)
    if (why !== undefined) return why
  }
  return undefined
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null
  if (type === 'array') return Array.isArray(value)
  if (type === 'integer') return Number.isSafeInteger(value)
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  return typeof value === type
}
