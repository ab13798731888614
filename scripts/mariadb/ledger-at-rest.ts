import { loadInstance } from '../../parser/instance.ts'
import {
  contentsWithPrefix,
  isMissingTable,
  type KnownContent,
  type LedgerNames,
  ledgerNames,
  ownFrom,
  processedFile,
  type Session,
} from '../../parser/ledger/index.ts'
import { describeError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'
import { type Asking, AT_TERMINAL } from '../terminal/index.ts'
import { withServiceDatabase } from './database-at-rest.ts'
import { serviceDatabase } from './service-database.ts'

/**
 * What the ledger says while no parser runs: a journal may have been restored from a backup, and then
 * knows less than was counted. The private MariaDB is started for the question and stopped after it.
 */
export type LedgerAnswer<T> = { readonly rows: readonly T[] } | { readonly silentBecause: string }

export function askForContents(
  paths: StatePaths,
  prefix: string,
  asking: Asking,
): Promise<LedgerAnswer<KnownContent>> {
  const question = (session: Session, names: LedgerNames) =>
    contentsWithPrefix(session, names, prefix)
  return askLedger(paths, question, asking)
}

/** Counted files that a journal with this next sequence cannot know, newest first. */
export async function askForUnknown(
  paths: StatePaths,
  nextSequence: number,
  limit: number,
): Promise<LedgerAnswer<ProcessedFile>> {
  const instance = await loadInstance(paths.instance)
  return askLedger(paths, async (session, names) => {
    const which = { workSequence: nextSequence, limit, first: 'newest' } as const
    return (await ownFrom(session, names, instance, which)).map(processedFile)
  })
}

/** @returns nothing where nothing was ever counted. */
export async function askLedger<T>(
  paths: StatePaths,
  question: (session: Session, names: LedgerNames) => Promise<T[]>,
  asking = AT_TERMINAL,
): Promise<LedgerAnswer<T>> {
  try {
    const service = await serviceDatabase(paths, asking.env)
    const ask = async (session: Session): Promise<LedgerAnswer<T>> => {
      try {
        return { rows: await question(session, ledgerNames(service.config)) }
      } catch (error) {
        // Nothing was ever counted there.
        if (isMissingTable(error)) return { rows: [] }
        throw error
      }
    }
    return await withServiceDatabase(paths, service, ask, asking)
  } catch (error) {
    asking.signal?.throwIfAborted()
    return { silentBecause: describeError(error) }
  }
}
