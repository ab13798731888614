import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { findLedger, type Session } from '../../parser/ledger/index.ts'
import { type Config, configOf, resolveConfig } from '../../shared/config.ts'
import type { StatePaths } from '../../shared/paths.ts'
import {
  environmentOf,
  isRememberedDatabase,
  nameOfDatabase,
  type RememberedLedger,
  readRememberedLedger,
} from '../../shared/remembered-ledger.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { cannot } from '../terminal/index.ts'

/**
 * The database that the service of a state directory works with, for a command that may be run
 * without the service's environment: what the environment does not say is what the parser has
 * remembered.
 */
export interface ServiceDatabase {
  readonly config: Config
  readonly remembered: RememberedLedger | undefined
}

/** @throws CountersinkError STOPPED when only a password that is not kept opens the database. */
export async function serviceDatabase(
  paths: StatePaths,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ServiceDatabase> {
  const remembered = await readRememberedLedger(paths.rememberedLedger)
  if (remembered === undefined) return { config: configOf(paths.dir, env), remembered }
  const { databaseUrl } = SETTINGS
  // An empty one says nothing here.
  const said =
    env[databaseUrl.variable] === '' ? { ...env, [databaseUrl.variable]: undefined } : env
  const { given, problems } = resolveConfig(paths.dir, said)
  const url = given.get('databaseUrl')
  const isNamed = url !== undefined && url.text !== ''
  // One that is said, and cannot be read, is no missing one.
  if (!isNamed && problems.length === 0 && remembered.needsPassword) {
    throw cannot(
      `the database of ${paths.dir} is ${remembered.database}, whose password is not kept here`,
      `Set ${databaseUrl.variable} as for the service.`,
    )
  }
  return { config: configOf(paths.dir, said, environmentOf(remembered)), remembered }
}

/**
 * Whether numbers that stand in this database are those of the service. The ledger tells; where none
 * is remembered, the database's place.
 */
export function isServiceLedger(
  { config, remembered }: ServiceDatabase,
  ledgerUuid: string | undefined,
): boolean {
  if (remembered === undefined) return true
  if (remembered.ledgerUuid === undefined) return isRememberedDatabase(remembered, config)
  return remembered.ledgerUuid === ledgerUuid
}

/** @throws CountersinkError STOPPED when this is not the ledger that the service works with. */
export async function assertServiceLedger(
  session: Session,
  paths: StatePaths,
  service: ServiceDatabase,
): Promise<void> {
  if (service.remembered === undefined) return
  const ledgerUuid = await findLedger(session, service.config)
  if (isServiceLedger(service, ledgerUuid)) return
  throw cannot(
    notTheServices(paths, service, ledgerUuid),
    `Set ${SETTINGS.databaseUrl.variable} as for the service, or leave it out.`,
  )
}

/** What is wrong with a database for which `isServiceLedger` is false. */
export function notTheServices(
  paths: StatePaths,
  { config, remembered }: ServiceDatabase,
  ledgerUuid: string | undefined,
): string {
  const there = ledgerUuid === undefined ? 'has no ledger' : `has the ledger ${ledgerUuid}`
  const known = remembered?.ledgerUuid === undefined ? '' : `, ledger ${remembered.ledgerUuid}`
  const ours = remembered === undefined ? '' : ` (${remembered.database}${known})`
  return `the database ${nameOfDatabase(config)} ${there}: it is not the one that ${paths.dir} works with${ours}`
}

/** Whether the private server has a data directory; starting it would make one otherwise. */
export function hasPrivateDatabase(paths: StatePaths): boolean {
  return existsSync(join(paths.mariadb, 'mysql'))
}
