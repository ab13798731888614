import { dirname, resolve } from 'node:path'
import {
  bothGiven,
  FILE_KEYS,
  type Given,
  type Layer,
  type Problem,
  problemOf,
  setFromFile,
} from './config-layers.ts'
import { CONFIG_VARIABLE, type ConfigPlace } from './config-places.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { hasCode, toError } from './errors.ts'
import { nearest } from './nearest.ts'
import { shellWord } from './printable.ts'
import { readSmallFile } from './secret-file.ts'
import { fileKeyOf, SETTINGS, type SettingKey } from './settings.ts'

/**
 * The configuration file: one JSON object whose keys are those of its JSON Schema
 * (`config-schema.ts`). It is read, never written. What it says of a password is for its owner alone.
 */
export function fileLayer({ path, isNamed }: ConfigPlace, problems: Problem[]): Layer {
  const layer = new Map<SettingKey, Given>()
  try {
    const { text, stats } = readSmallFile(
      path,
      isNamed ? `named by --config or ${CONFIG_VARIABLE}` : 'the configuration',
    )
    const entries = parseObject(path, text, problems)
    const isForAll = (stats.mode & 0o077) !== 0
    for (const [name, value] of entries) setOne(layer, { path, name, value, isForAll }, problems)
  } catch (error) {
    const cause = toError(error).cause
    if (!isNamed && hasCode(cause, 'ENOENT', 'ENOTDIR')) return layer
    problems.push(problemOf(error))
  }
  return layer
}

interface Entry {
  readonly path: string
  readonly name: string
  readonly value: unknown
  /** Others than its owner may read the file. */
  readonly isForAll: boolean
}

function setOne(layer: Map<SettingKey, Given>, entry: Entry, problems: Problem[]): void {
  const { path, name, value, isForAll } = entry
  if (name === '$schema') return
  const known = FILE_KEYS.get(name)
  if (known === undefined) {
    problems.push(unknownKey(path, name))
    return
  }
  const { key, isPath } = known
  const where = `${name} in ${path}`
  const setting = SETTINGS[key]
  const text = textOf(value, isPath ? ['string'] : [setting.schema.type].flat())
  if (text === undefined) {
    problems.push({
      message: `${where} must be ${isPath ? 'the path of a file' : setting.allowed}; got ${shownOf(value, 'isSecret' in setting)}`,
      advice: `It means: ${setting.meaning}.`,
    })
    return
  }
  const before = layer.get(key)
  if (before !== undefined) problems.push(bothGiven(before.name, where))
  else if (isPath) {
    const at = resolve(dirname(path), text)
    setFromFile(layer, key, { source: 'file', name: where, text: at }, problems)
  } else {
    layer.set(key, {
      source: 'file',
      name: where,
      text,
      ...(typeof value === 'number' ? { shown: text } : {}),
    })
    if (isForAll && key === 'databaseUrl' && holdsPassword(text)) problems.push(openToAll(path))
  }
}

/** undefined: not of a type that the schema allows. */
function textOf(value: unknown, types: readonly string[]): string | undefined {
  if (typeof value === 'string') return types.includes('string') ? value : undefined
  return types.includes('integer') && Number.isSafeInteger(value) ? String(value) : undefined
}

function shownOf(value: unknown, isSecret: boolean): string {
  if (isSecret || (typeof value === 'object' && value !== null)) {
    return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
  }
  const isBeyond = typeof value === 'number' && Number.isInteger(value)
  return `${JSON.stringify(value)}${isBeyond ? ' as a number, which JSON does not keep exactly: write it as a string' : ''}`
}

function unknownKey(path: string, name: string): Problem {
  const keys = [...FILE_KEYS.keys()]
  const near = nearest(name, keys) ?? nearest(fileKeyOf(name), keys)
  return {
    message: `there is no setting ${JSON.stringify(name)}, which stands in ${path}`,
    advice: near === undefined ? 'Remove it.' : `Is ${near} what is meant? Otherwise remove it.`,
  }
}

function holdsPassword(url: string): boolean {
  const parsed = parseDatabaseUrl(url)
  return 'wrong' in parsed ? url.includes('@') : parsed.password !== ''
}

function openToAll(path: string): Problem {
  return {
    message: `${path} holds a password in databaseUrl, and others than its owner can read it`,
    advice: `chmod 600 ${shellWord(path)}, or put the URL into a file of its own and name that as databaseUrlFile.`,
    mend: `chmod 600 ${shellWord(path)}`,
  }
}

function parseObject(path: string, text: string, problems: Problem[]): [string, unknown][] {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    problems.push({
      message: `${path} is not JSON${placeIn(text, toError(error).message)}`,
      advice: 'Compare it with what "countersink config schema" allows.',
    })
    return []
  }
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) {
    for (const name of namesGivenTwice(text)) {
      problems.push({
        message: `${name} stands in ${path} more than once`,
        advice: 'Leave one of them.',
      })
    }
    return Object.entries(found)
  }
  problems.push({
    message: `${path} must hold one JSON object`,
    advice: 'Such as {"quietMs": 5000}.',
  })
  return []
}

/** Of two with one name the engine keeps the last, without a word. What is nested is refused anyway. */
function namesGivenTwice(json: string): ReadonlySet<string> {
  const strings = json.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)
  const names = [...strings].filter(([, , colon]) => colon).map(([, name]) => JSON.parse(name!))
  return new Set(names.filter((name, at) => names.indexOf(name) !== at))
}

/** The engine's own message repeats a piece of the text, which may be a password. */
function placeIn(text: string, message: string): string {
  const position = /at position (\d+)/.exec(message)?.[1]
  const token = /^Unexpected token '?(.)'?/u.exec(message)?.[1]
  const what = token === undefined ? '' : `: there is an unexpected ${token}`
  if (position === undefined) return what
  const lines = text.slice(0, Number(position)).split('\n')
  return `${what} (line ${lines.length}, column ${lines.at(-1)!.length + 1})`
}
