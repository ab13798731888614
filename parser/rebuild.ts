import type { Config } from '../shared/config.ts'
import { CountersinkError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { readRememberedLedger, rememberLedger } from '../shared/remembered-ledger.ts'
import type { Journal } from './journal/journal.ts'
import type { Ledger, LedgerFile } from './ledger/ledger.ts'
import { ADVICE_ON_ANOTHER_LEDGER } from './ledger/schema/opening.ts'
import { fromSqlTime } from './ledger/schema/tables.ts'

const ROWS_PER_COMMIT = 5_000

/**
 * Brings the journal and the ledger together at start.
 *
 * The ledger decides. A journal that knows less of it (new, or lost and made again) takes over what
 * it misses; one that knows more stands before a database that was restored from a backup, or
 * before another one: going on would count contents again that the journal calls done. Which ledger
 * it was is remembered beside the journal as well, so that this is noticed without it.
 *
 * @throws CountersinkError LEDGER_BEHIND_JOURNAL
 */
export async function reconcileWithLedger(
  journal: Journal,
  ledger: Ledger,
  log: Log,
  memory: { readonly path: string; readonly config: Config },
): Promise<void> {
  const { ledgerUuid, ledgerSequence } = journal.state
  const remembered = await readRememberedLedger(memory.path)
  const known = [ledgerUuid, remembered?.ledgerUuid ?? ''].filter(uuid => uuid !== '')
  const identity = await ledger.open(known.length === 0)
  for (const warning of identity.warnings) log.warn('about MariaDB', { warning })
  const other = known.find(uuid => uuid !== identity.uuid)
  if (other !== undefined) {
    throw behind(`it is another ledger (${identity.uuid}) than the one worked with (${other})`)
  }
  if (identity.lastSequence < ledgerSequence) {
    throw behind(
      `its newest entry is ${identity.lastSequence}, ${ledgerSequence} was seen before: it was restored from a backup`,
    )
  }
  if (ledgerUuid === '') await rebuild(journal, ledger, log)
  journal.bindLedger(identity.uuid)
  await rememberLedger(memory.path, memory.config, identity.uuid)
}

async function rebuild(journal: Journal, ledger: Ledger, log: Log): Promise<void> {
  let after = journal.state.ledgerSequence
  for (;;) {
    const rows = await ledger.appliedAfter(after, ROWS_PER_COMMIT)
    const last = rows[rows.length - 1]
    if (last === undefined) return
    // What still stands in work/ under its own sequence was counted by us and not settled: it will be.
    const settled = rows.filter(
      row => !ledger.isOurs(row) || journal.queued(Number(row.workSequence))?.name !== row.name,
    )
    journal.rebuild(settled.map(processedFile), last.sequence)
    log.info('rebuilt the index of contents from the ledger', { contents: rows.length })
    after = last.sequence
  }
}

function processedFile(row: LedgerFile) {
  return {
    name: row.name,
    sha256: row.sha256.toString('hex'),
    sizeBytes: Number(row.sizeBytes),
    lines: Number(row.lines),
    amount: row.amount,
    outcome: 'applied' as const,
    claimedAtMs: fromSqlTime(row.claimedAt),
    // The ledger does not keep when the reading began.
    digestStartedAtMs: fromSqlTime(row.claimedAt),
    digestedAtMs: fromSqlTime(row.digestedAt),
    settledAtMs: fromSqlTime(row.recordedAt),
  }
}

function behind(why: string): CountersinkError {
  return new CountersinkError('LEDGER_BEHIND_JOURNAL', `MariaDB does not fit the journal: ${why}`, {
    advice: ADVICE_ON_ANOTHER_LEDGER,
  })
}
