import { existsSync } from 'node:fs'
import { findLedger, hasTotals, type Session } from '../../parser/ledger/index.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { isRememberedDatabase, nameOfDatabase } from '../../shared/remembered-ledger.ts'
import { SETTINGS } from '../../shared/settings.ts'
import {
  notTheServices,
  type ServiceDatabase,
  serviceDatabase,
  withDatabaseAtRest,
} from '../mariadb/index.ts'
import { JournalRecords, outliveReaders, recoverFrom } from '../recovery/index.ts'
import {
  type Command,
  cannot,
  DIR_HELP,
  EXIT,
  environment,
  parseOptions,
} from '../terminal/index.ts'

export const recover: Command = {
  name: 'recover',
  summary: 'count again what a restored or replaced MariaDB lacks',
  help: `
Usage: countersink recover [--dir D] [--dry-run] [--other-database] [--onto-totals]

For when the parser refuses to go on because MariaDB is older than its journal (restored from a
backup) or is another one. Looks at every archived file; those whose content the ledger lacks, and
whose bytes are still what was archived, go back into the inbox, to be counted at the next start. The
journal is put aside and made anew from the ledger then. Nothing may be running in the state
directory. It can be interrupted at any time and run again.

What was counted, but is neither in the ledger nor in a file here any more, is listed as LOST HERE:
its content must be brought in again from elsewhere. An archived file that is not what was archived is
listed as CHANGED and stays where it is.

Exit status: 0 everything is counted or on its way; 1 something is lost or changed here; 3 it could
not be done.

${DIR_HELP}
  --dry-run          only say what would be done
  --other-database   the database in COUNTERSINK_DATABASE_URL has replaced the one that was worked
                     with: count into it what it lacks
  --onto-totals      the database has no ledger, and what stands in its table of totals is from before
                     countersink: count everything on top of it
`,
  async run(args) {
    const { values } = parseOptions(args, {
      'dry-run': { type: 'boolean', default: false },
      'other-database': { type: 'boolean', default: false },
      'onto-totals': { type: 'boolean', default: false },
    })
    outliveReaders()
    const { paths } = environment(values.dir)
    refuseNothing(paths)
    const service = await serviceDatabase(paths)
    return withDatabaseAtRest(paths, service.config, async session => {
      const journal = await JournalRecords.find(paths)
      const ledgerUuid = await findLedger(session, service.config)
      if (!values['other-database']) await refuseOther(paths, service, journal, ledgerUuid)
      if (ledgerUuid === undefined && !values['onto-totals']) await refuseTotals(session, service)
      const { config } = service
      const isDryRun = values['dry-run']
      const found = await recoverFrom({ session, paths, config, journal, ledgerUuid, isDryRun })
      return found.lost + found.changed === 0 ? EXIT.ok : EXIT.no
    })
  },
}

/** Before anything is made: a mistyped directory must stay as it is. */
function refuseNothing(paths: StatePaths): void {
  const { instance, journal, rememberedLedger, archive } = paths
  const isOurs = [instance, journal, rememberedLedger].some(existsSync)
  if (isOurs && [journal, archive].some(existsSync)) return
  throw cannot(
    `there is nothing to recover in ${paths.dir}: no parser has worked there`,
    'Name the directory of the service with --dir.',
  )
}

/** A ledger that never knew these files lacks them all: nothing is wrong with the one that does. */
async function refuseOther(
  paths: StatePaths,
  service: ServiceDatabase,
  journal: JournalRecords,
  ledgerUuid: string | undefined,
): Promise<void> {
  const { config, remembered } = service
  const known =
    remembered === undefined ? (await journal.ledgerUuid()) || undefined : remembered.ledgerUuid
  const isSame =
    ledgerUuid !== undefined && known !== undefined
      ? ledgerUuid === known
      : remembered === undefined
        ? config.databaseUrl === '' || ledgerUuid !== undefined
        : isRememberedDatabase(remembered, config)
  if (isSame) return
  throw cannot(
    notTheServices(paths, service, ledgerUuid),
    `Set ${SETTINGS.databaseUrl.variable} as for the service. If that server was replaced by this one for good, run it with --other-database.`,
  )
}

/** Totals without the ledger that says which files are in them: those files would be counted twice. */
async function refuseTotals(session: Session, { config }: ServiceDatabase): Promise<void> {
  if (!(await hasTotals(session, config))) return
  throw cannot(
    `the database ${nameOfDatabase(config)} has totals in ${config.totalsTable} and no ledger that says what is in them`,
    `Bring back the tables ${config.tablePrefix}… from where the totals are. If the totals are from before countersink's first start, run it with --onto-totals.`,
  )
}
