/**
 * Which database a state directory belongs to, in a file of its own (`parser/ledger.json`): so that a
 * command without the service's environment does not go by another database, and a parser whose
 * journal was deleted does not begin anew with one.
 *
 * The parser writes it when it has bound the journal to a ledger; `recover` when it puts the journal
 * aside. It is replaced as a whole, so a crash leaves the old one or the new one. The password of a
 * URL is never in it.
 */

import { readFile } from 'node:fs/promises'
import type { Config } from './config.ts'
import { oneUrlPerHost, withoutPassword } from './database-url.ts'
import { replaceFile } from './durable.ts'
import { CountersinkError, hasCode } from './errors.ts'
import { SETTINGS } from './settings.ts'

export interface RememberedLedger {
  /** `private`, or the URL without what is secret in it. */
  readonly database: string
  /** Something was left out of the URL: with it alone nobody gets in. */
  readonly needsPassword: boolean
  readonly tables: TableNames
  /** undefined: the next parser may bind whatever ledger it finds in this database, or make one. */
  readonly ledgerUuid: string | undefined
}

const TABLE_SETTINGS = [
  'totalsTable',
  'totalsIdColumn',
  'totalsAmountColumn',
  'tablePrefix',
] as const

export type TableNames = Pick<Config, (typeof TABLE_SETTINGS)[number]>
type Database = Pick<Config, 'databaseUrl'> & TableNames

export const PRIVATE_DATABASE = 'private'
const VERSION = 1

/**
 * undefined: no ledger was ever bound here.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when it cannot be understood.
 */
export async function readRememberedLedger(path: string): Promise<RememberedLedger | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  const remembered = parse(text)
  if (remembered !== undefined) return remembered
  throw new CountersinkError('STATE_DIRECTORY_UNFIT', `${path} does not name a database`, {
    advice:
      'Restore it. If you delete it, it is no longer noticed when another database is used here by mistake.',
  })
}

/** Durable on return. Nothing is written when it stands there already. */
export async function rememberLedger(
  path: string,
  config: Database,
  ledgerUuid: string | undefined,
): Promise<void> {
  const { database, isWhole } = nameOf(config.databaseUrl)
  const tables = Object.fromEntries(TABLE_SETTINGS.map(key => [key, config[key]]))
  const text = `${JSON.stringify(
    {
      version: VERSION,
      database,
      needsPassword: !isWhole,
      ...tables,
      ledgerUuid: ledgerUuid ?? null,
    },
    null,
    2,
  )}\n`
  const before = await readFile(path, 'utf8').catch(error => {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  })
  if (before !== text) await replaceFile(path, text)
}

/**
 * Whether this configuration means the remembered database, whoever logs in there. Two names of one
 * server count as two: then the ledger's UUID tells.
 */
export function isRememberedDatabase(remembered: RememberedLedger, config: Database): boolean {
  const here = placesOf(nameOf(config.databaseUrl).database)
  return (
    placesOf(remembered.database).some(place => here.includes(place)) &&
    remembered.tables.tablePrefix === config.tablePrefix
  )
}

/** The remembered database as the environment would name it. */
export function environmentOf(remembered: RememberedLedger): Record<string, string> {
  const { database, tables } = remembered
  return {
    [SETTINGS.databaseUrl.variable]: database === PRIVATE_DATABASE ? '' : database,
    ...Object.fromEntries(TABLE_SETTINGS.map(key => [SETTINGS[key].variable, tables[key]])),
  }
}

/** For people: the database without what is secret. */
export function nameOfDatabase(config: Pick<Config, 'databaseUrl'>): string {
  return nameOf(config.databaseUrl).database
}

function nameOf(databaseUrl: string): { database: string; isWhole: boolean } {
  if (databaseUrl === '') return { database: PRIVATE_DATABASE, isWhole: true }
  const [url = databaseUrl] = oneUrlPerHost(databaseUrl)
  // Nothing else in it is secret: parameters name files at the most.
  return { database: withoutPassword(databaseUrl), isWhole: new URL(url).password === '' }
}

/** Host and port, or socket, and database: two URLs of one database have at least one in common. */
function placesOf(database: string): readonly string[] {
  if (database === PRIVATE_DATABASE) return [database]
  return oneUrlPerHost(database).map(one => {
    const url = new URL(one)
    const server =
      url.searchParams.get('socketPath') ?? `${url.hostname.toLowerCase()}:${url.port || '3306'}`
    return `${server} ${decodeURIComponent(url.pathname)}`
  })
}

function parse(text: string): RememberedLedger | undefined {
  let fields: Record<string, unknown>
  try {
    fields = JSON.parse(text)
  } catch {
    return undefined
  }
  const { version, database, needsPassword, ledgerUuid } = fields ?? {}
  if (version !== VERSION || typeof needsPassword !== 'boolean') return undefined
  if (typeof database !== 'string' || database === '') return undefined
  if (database !== PRIVATE_DATABASE && !SETTINGS.databaseUrl.parse(database)) return undefined
  if (ledgerUuid !== null && !/^[0-9a-f-]{36}$/.test(String(ledgerUuid))) return undefined
  const tables: Record<string, string> = {}
  for (const key of TABLE_SETTINGS) {
    const name = SETTINGS[key].parse(String(fields[key]))
    if (name === undefined) return undefined
    tables[key] = name
  }
  return {
    database,
    needsPassword,
    tables: tables as unknown as TableNames,
    ledgerUuid: ledgerUuid === null ? undefined : String(ledgerUuid),
  }
}
