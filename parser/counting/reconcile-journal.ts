import type { Config } from '../../shared/config.ts'
import type { Log } from '../../shared/log.ts'
import { readRememberedLedger, rememberLedger } from '../../shared/remembered-ledger.ts'
import { isKeptAs } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import {
  type Ledger,
  type LedgerFile,
  processedFile,
  WITNESSES_MAX,
  witnessOf,
} from '../ledger/index.ts'

const ROWS_PER_COMMIT = 5_000

/**
 * Brings the journal and the ledger together at start. The ledger decides.
 *
 * - It must be the ledger that the journal has worked with, and have what the journal saw counted
 *   last: otherwise it was restored from a backup, or is another one, and going on would leave out or
 *   count again what the journal calls done.
 * - A new journal takes its index of contents from it.
 * - A journal that is older than the ledger, because it was restored itself, learns what was counted
 *   since, and gives no sequence a second time.
 *
 * @throws CountersinkError LEDGER_BEHIND, LEDGER_UNFIT, DATABASE_UNFIT
 */
export async function reconcileWithLedger(
  journal: Journal,
  ledger: Ledger,
  log: Log,
  memory: { readonly path: string; readonly config: Config },
): Promise<void> {
  const { ledgerUuid } = journal.state
  // Beside the journal as well, so that another database is noticed without it.
  const remembered = await readRememberedLedger(memory.path)
  const identity = await ledger.open({
    uuid: ledgerUuid === '' ? remembered?.ledgerUuid : ledgerUuid,
    applied: journal.newestApplied(WITNESSES_MAX).map(witnessOf),
  })
  // First: whatever ends this start, `recover` then knows which database was worked with. Until the
  // journal is bound, the next start goes by what is remembered.
  await rememberLedger(memory.path, memory.config, identity.uuid)
  for (const warning of identity.warnings) log.warn('about MariaDB', { warning })
  journal.skipSequences(await ledger.lastOwnSequence())
  if (ledgerUuid === '') await rebuild(journal, ledger, log)
  else await learnOwn(journal, ledger, log)
  journal.bindLedger(identity.uuid)
}

/**
 * By the ledger's sequence. What is being applied now, by other parsers, is not among it: the index is
 * a hint, and the ledger is asked again where it matters.
 */
async function rebuild(journal: Journal, ledger: Ledger, log: Log): Promise<void> {
  let after = journal.state.rebuiltTo
  const waiting = await originsOnTheirWay(journal)
  for (;;) {
    const rows = await ledger.appliedAfter(after, ROWS_PER_COMMIT)
    const last = rows.at(-1)
    if (last === undefined) return
    const settled = settledOnly(rows, journal, ledger)
    const others = settled.filter(({ origin }) => !waiting.has(origin.toString('hex')))
    journal.learn(others.map(processedFile), last.sequence)
    log.info('rebuilt the index of contents from the ledger', { contents: rows.length })
    after = last.sequence
  }
}

/**
 * Publications whose files stand in work/: their rows are theirs, also those that a parser of another
 * name has written, which this one was before its whole state was deleted.
 */
async function originsOnTheirWay(journal: Journal): Promise<ReadonlySet<string>> {
  const origins = new Set<string>()
  for await (const slice of journal.queueInSlices()) {
    for (const { provenance } of slice) {
      if (provenance?.origin) origins.add(Buffer.from(provenance.origin).toString('hex'))
    }
  }
  return origins
}

/** Files of our own that were claimed after the journal was saved. */
async function learnOwn(journal: Journal, ledger: Ledger, log: Log): Promise<void> {
  let from = journal.recordedSequence
  for (;;) {
    const rows = await ledger.ownFrom(from, ROWS_PER_COMMIT)
    const last = rows.at(-1)
    if (last === undefined) return
    const unknown = rows.filter(row => (journal.content(row.sha256)?.applied ?? 0) === 0)
    journal.learn(settledOnly(unknown, journal, ledger).map(processedFile))
    log.warn('the journal is older than the ledger: what was counted since is taken from there', {
      contents: unknown.length,
    })
    from = Number(last.workSequence) + 1
  }
}

/** What still stands in work/ under its own sequence was counted by us and not settled: it will be. */
function settledOnly(rows: readonly LedgerFile[], journal: Journal, ledger: Ledger): LedgerFile[] {
  return rows.filter(row => {
    const entry = journal.queued(Number(row.workSequence))
    return !ledger.isFromThisParser(row) || entry === undefined || !isKeptAs(entry.name, row)
  })
}
