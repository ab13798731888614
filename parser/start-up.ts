import assert from 'node:assert/strict'
import type { Config } from '../shared/config.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import { REFUSED } from '../shared/state-table.ts'
import { type BatchMaker, type BatchResumer, reconcileWithLedger } from './counting/index.ts'
import type { QueueEntry } from './facts.ts'
import { adoptWork, type QueueTally } from './intake/index.ts'
import type { Journal } from './journal/index.ts'
import type { Ledger, LedgerFile } from './ledger/index.ts'
import type { Ending, Settler } from './settling/index.ts'
import { type RowOfContent, START_UP, type StartAction } from './start-up-cases.ts'

export interface StartUpParts {
  readonly paths: StatePaths
  readonly config: Config
  readonly journal: Journal
  readonly queue: QueueTally
  readonly settler: Settler
  readonly ledger: Ledger
  readonly resumer: BatchResumer
  readonly maker: BatchMaker
  readonly log: Log
}

/**
 * What needs the journal alone, and so is done at once: the queue is counted, work/ is adopted, and
 * what a crash left settled is moved out.
 */
export async function goOnFromJournal(parts: StartUpParts): Promise<void> {
  const { paths, journal, queue, settler, log } = parts
  for await (const slice of journal.queueInSlices()) {
    for (const entry of slice) queue.add(entry)
  }
  for (const entry of await adoptWork(paths, journal, log)) queue.add(entry)
  for await (const slice of journal.queueInSlices()) {
    await settler.move(slice.filter(({ stage }) => stage === 'settling'))
  }
}

/**
 * What needs MariaDB, and waits for it as long as it takes: journal and ledger are made to agree,
 * batches that had begun are finished, files that are in the totals already are settled, and runs
 * that nobody needs are swept. A crash anywhere in it leaves what the next start finds out again.
 *
 * @throws the signal's reason, and what `reconcileWithLedger` throws
 */
export async function goOnFromLedger(parts: StartUpParts, signal: AbortSignal): Promise<void> {
  const { paths, config, journal, ledger, resumer, maker, log } = parts
  await reconcileWithLedger(journal, ledger, log, { path: paths.rememberedLedger, config })
  const needed = new Set(await resumer.resumeAll(signal))
  ledger.resumed()
  for await (const slice of journal.queueInSlices()) {
    await settleApplied(slice, needed, parts)
  }
  // Runs that came since are a successor's.
  journal.assertOwner()
  const swept = await maker.sweep(needed)
  if (swept > 0) log.info('removed sums that nobody needs', { files: swept })
}

/** Of these entries, the files that are in the totals already; runs of others are needed. */
async function settleApplied(
  entries: readonly QueueEntry[],
  needed: Set<string>,
  { ledger, settler }: StartUpParts,
): Promise<void> {
  const asked = entries.flatMap(({ stage, digest }) =>
    stage === 'digested' && digest ? [digest.sha256] : [],
  )
  const rows = asked.length === 0 ? undefined : await ledger.findAll(asked)
  const endings: Ending[] = []
  for (const entry of entries) {
    const { digest, checkpoint, runName } = entry
    const row = digest && rows?.get(Buffer.from(digest.sha256).toString('hex'))
    if (actionFor(entry, row, ledger) === 'settle') {
      endings.push({ entry, digest: digest!, outcome: 'applied', ledgerSequence: row!.sequence })
      continue
    }
    for (const name of [...(checkpoint?.runs ?? []), runName]) if (name) needed.add(name)
  }
  await settler.settle(endings)
}

function actionFor(entry: QueueEntry, row: LedgerFile | undefined, ledger: Ledger): StartAction {
  const seen = entry.stage === 'digested' ? rowAsSeen(entry, row, ledger) : 'unasked'
  const action = START_UP[entry.stage][seen]
  assert(action !== REFUSED, `${entry.name}: ${entry.stage} with a row that is ${seen}`)
  return action
}

function rowAsSeen(
  entry: QueueEntry,
  row: LedgerFile | undefined,
  ledger: Ledger,
): Exclude<RowOfContent, 'unasked'> {
  if (row === undefined) return 'none'
  assert(row.state !== 'reverted', `${entry.name} is reverted, which this version does not know`)
  return `${ledger.isThisWorkFile(row, entry.sequence) ? 'ours' : 'other'} ${row.state}`
}
