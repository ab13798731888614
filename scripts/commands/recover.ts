import { existsSync } from 'node:fs'
import { findLedger, hasTotals, type Session } from '../../parser/ledger/index.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { isRememberedDatabase, nameOfDatabase } from '../../shared/remembered-ledger.ts'
import { SETTINGS } from '../../shared/settings.ts'
import {
  command,
  count,
  digits,
  fields,
  flag,
  lines,
  oneOf,
  sha256,
  text,
} from '../command-table/index.ts'
import {
  notTheServices,
  type ServiceDatabase,
  serviceDatabase,
  withDatabaseAtRest,
} from '../mariadb/index.ts'
import {
  archivedFiles,
  type Finding,
  JournalRecords,
  outliveReaders,
  recoverFrom,
  tell,
} from '../recovery/index.ts'
import { cannot, EXIT, environment } from '../terminal/index.ts'

export const recover = command({
  name: 'recover',
  summary: 'count again what a restored or replaced MariaDB lacks',
  about: `For when the parser refuses to go on because MariaDB is older than its journal (restored from a
backup) or is another one. Looks at every archived file; those whose content the ledger lacks, and
whose bytes are still what was archived, go back into the inbox, to be counted at the next start. The
journal is put aside and made anew from the ledger then. Nothing may be running in the state
directory. It can be interrupted at any time and run again.

What was counted, but is neither in the ledger nor in a file here any more, is listed as LOST HERE:
its content must be brought in again from elsewhere (of several hosts that count into one database: by
recover on the one that has it). An archived file that is not what was archived is
listed as CHANGED and stays where it is.`,
  options: {
    'dry-run': { kind: 'switch', help: 'only say what would be done' },
    'other-database': {
      kind: 'switch',
      help: 'the database in COUNTERSINK_DATABASE_URL has replaced the one that was worked with: count into it what it lacks',
    },
    'onto-totals': {
      kind: 'switch',
      help: 'the database has no ledger, and what stands in its table of totals is from before countersink: count everything on top of it',
    },
  },
  exits: {
    0: 'everything is counted or on its way',
    1: 'something is lost or changed here',
    3: 'it could not be done',
  },
  examples: [
    { line: 'countersink recover --dry-run', what: 'what would go back into the inbox' },
    { line: 'countersink recover', what: 'after a restore, with the service stopped' },
  ],
  answer: lines(
    fields({ event: oneOf('back'), file: text('in the archive') }),
    fields({ event: oneOf('changed'), file: text('in the archive'), reason: text() }),
    fields({ event: oneOf('lost'), sha256, name: text(), amount: digits() }),
    fields({ event: oneOf('journal-aside'), path: text() }),
    fields({
      event: oneOf('end'),
      ...{ looked: count('archived files'), back: count(), changed: count(), lost: count() },
      dryRun: flag(),
    }),
  ),
  async run({ values, jsonText }) {
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
      const found = await recoverFrom({
        ...{ session, paths, config, journal, ledgerUuid, isDryRun },
        tell: finding => tell(values.json ? jsonText(finding) : inWords(finding)),
      })
      return found.lost + found.changed === 0 ? EXIT.ok : EXIT.no
    })
  },
})

function inWords(found: Finding): string {
  switch (found.event) {
    case 'back':
      return `back to the inbox  ${found.file}\n`
    case 'changed':
      return `CHANGED            ${found.file}: ${found.reason}\n`
    case 'lost':
      return `LOST HERE          ${found.sha256}  ${found.name}  amount ${found.amount}\n`
    case 'journal-aside':
      return `the journal was put aside as ${found.path}\n`
    case 'end': {
      const changed = found.changed === 0 ? '' : `, ${found.changed} are not what was archived`
      return `${found.looked} archived files looked at, ${found.back} ${found.dryRun ? 'would go' : 'went'} back to the inbox${changed}, ${found.lost} contents are lost here\n`
    }
  }
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
        ? config.databaseUrl === '' || ledgerUuid !== undefined || (await nothingIsArchived(paths))
        : isRememberedDatabase(remembered, config)
  if (isSame) return
  throw cannot(
    notTheServices(paths, service, ledgerUuid),
    `Set ${SETTINGS.databaseUrl.variable} as for the service. If that server was replaced by this one for good, run it with --other-database.`,
  )
}

/** Then no ledger was ever worked with, or none had counted anything: none can lack a file. */
async function nothingIsArchived(paths: StatePaths): Promise<boolean> {
  for await (const _ of archivedFiles(paths, 1)) return false
  return true
}

/** Totals without the ledger that says which files are in them: those files would be counted twice. */
async function refuseTotals(session: Session, { config }: ServiceDatabase): Promise<void> {
  if (!(await hasTotals(session, config))) return
  throw cannot(
    `the database ${nameOfDatabase(config)} has totals in ${config.totalsTable} and no ledger that says what is in them`,
    `Bring back the tables ${config.tablePrefix}… from where the totals are. If the totals are from before countersink's first start, run it with --onto-totals.`,
  )
}
