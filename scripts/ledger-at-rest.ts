import { existsSync } from 'node:fs'
import { loadInstance } from '../parser/instance.ts'
import { contentsWithPrefix, ownNewest, processedFile } from '../parser/ledger/asking.ts'
import { databaseAddress, type Session } from '../parser/ledger/connection.ts'
import type { LedgerFile } from '../parser/ledger/file-rows.ts'
import { type LedgerNames, ledgerNames } from '../parser/ledger/schema/tables.ts'
import { isMissingTable } from '../parser/ledger/sql-errors.ts'
import type { Config } from '../shared/config.ts'
import { describeError, hasCode } from '../shared/errors.ts'
import type { StatePaths } from '../shared/paths.ts'
import type { ProcessedFile } from '../shared/protocol.ts'
import { withDatabaseAtRest, withSession } from './database-at-rest.ts'

/**
 * What the ledger says while no parser runs: a journal may have been restored from a backup, and then
 * knows less than was counted. The private MariaDB is started for the question and stopped after it.
 */
export type LedgerAnswer<T> = { readonly rows: readonly T[] } | { readonly silentBecause: string }

export function askForContents(
  paths: StatePaths,
  config: Config,
  prefix: string,
): Promise<LedgerAnswer<LedgerFile>> {
  return ask(paths, config, (session, names) => contentsWithPrefix(session, names, prefix))
}

/** Counted files that a journal with this next sequence cannot know, newest first. */
export async function askForUnknown(
  paths: StatePaths,
  config: Config,
  nextSequence: number,
  limit: number,
): Promise<LedgerAnswer<ProcessedFile>> {
  const instance = await loadInstance(paths.instance)
  return ask(paths, config, async (session, names) =>
    (await ownNewest(session, names, instance, nextSequence, limit)).map(processedFile),
  )
}

async function ask<T>(
  paths: StatePaths,
  config: Config,
  question: (session: Session, names: LedgerNames) => Promise<T[]>,
): Promise<LedgerAnswer<T>> {
  const use = async (session: Session): Promise<LedgerAnswer<T>> => {
    try {
      return { rows: await question(session, ledgerNames(config)) }
    } catch (error) {
      // Nothing was ever counted there.
      if (isMissingTable(error)) return { rows: [] }
      throw error
    }
  }
  try {
    return await withSession(databaseAddress(config, paths), use)
  } catch (error) {
    const isAtRest = config.databaseUrl === '' && hasCode(error, 'DATABASE_UNAVAILABLE')
    if (!isAtRest) return { silentBecause: describeError(error) }
  }
  if (!existsSync(paths.mariadb)) return { silentBecause: 'there is no private MariaDB yet' }
  try {
    return await withDatabaseAtRest(paths, config, use)
  } catch (error) {
    return { silentBecause: describeError(error) }
  }
}
