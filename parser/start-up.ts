import assert from 'node:assert/strict'
import type { Config } from '../shared/config.ts'
import type { Log } from '../shared/log.ts'
import type { StatePaths } from '../shared/paths.ts'
import { REFUSED } from '../shared/state-table.ts'
import { reconcileWithLedger, type StagedBatches } from './counting/index.ts'
import type { QueueEntry } from './facts.ts'
import { adoptWork, type QueueTally } from './intake/index.ts'
import type { Journal } from './journal/index.ts'
import type { Ledger, LedgerFile, OpeningTaken } from './ledger/index.ts'
import type { ReadingStage } from './reading/index.ts'
import type { Ending, Settler } from './settling/index.ts'
import { type RowOfContent, START_UP, type StartAction } from './start-up-cases.ts'
import { sweepRuns } from './sums/index.ts'

export interface StartUpParts {
  readonly paths: StatePaths
  readonly config: Config
  readonly journal: Journal
  readonly queue: QueueTally
  readonly settler: Settler
  readonly ledger: Ledger
  readonly staged: StagedBatches
  readonly readingStage: ReadingStage
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
 * batches that had begun are finished, files that are in the totals already are settled, and runs and
 * drafts of rejects that nobody needs are swept. A crash anywhere in it leaves what the next start finds out again.
 *
 * @throws the signal's reason, and what `reconcileWithLedger` throws
 */
export async function goOnFromLedger(parts: StartUpParts): Promise<void> {
  const { paths, config, journal, ledger, staged, log } = parts
  await ledger.roller.noteSettings()
  await reconcileWithLedger(journal, ledger, log, { path: paths.rememberedLedger, config })
  // What was begun is finished first; where somebody else counts, that is his.
  if (await ledger.counter.takeLease()) await staged.finishOpen()
  tellOfOpening(await ledger.takeOpening(), log)
  const needed = new Set<string>()
  const onTheirWay = new Set<number>()
  for await (const slice of journal.queueInSlices()) {
    for (const { sequence } of slice) onTheirWay.add(sequence)
    await settleApplied(slice, needed, parts)
  }
  // Runs that came since are a successor's.
  journal.assertOwner()
  parts.settler.sweepRejects(onTheirWay)
  const swept = await sweepRuns(paths.runs, needed)
  if (swept.length > 0) log.info('removed sums that nobody needs', { files: swept.length })
}

function tellOfOpening(taken: OpeningTaken | undefined, log: Log): void {
  if (taken?.isUnknown) {
    log.warn(
      'what stood in each total before is not known: a batch of an earlier version is open',
      {
        code: 'OPENING_UNKNOWN',
      },
    )
  } else if (taken !== undefined && taken.difference !== 0n) {
    log.warn('the totals are not what was counted into them before this version', {
      ...{ code: 'TOTALS_DIFFER', difference: taken.difference },
    })
  }
}

/**
 * Of these entries, the files that are in the totals already; runs of others are needed, and those
 * whose row decides are not read.
 */
async function settleApplied(
  entries: readonly QueueEntry[],
  needed: Set<string>,
  { ledger, settler, readingStage }: StartUpParts,
): Promise<void> {
  const asked = entries.flatMap(({ stage, digest }) =>
    stage === 'digested' && digest ? [digest.sha256] : [],
  )
  const rows = asked.length === 0 ? undefined : await ledger.findAll(asked)
  const endings: Ending[] = []
  for (const entry of entries) {
    const { digest, checkpoint, runName } = entry
    const row = digest && rows?.get(Buffer.from(digest.sha256).toString('hex'))
    const action = actionFor(entry, row, ledger)
    if (action === 'settle') {
      endings.push({ entry, digest: digest!, outcome: 'applied', ledgerSequence: row!.sequence })
      continue
    }
    if (action === 'wait') readingStage.decidedByRow(entry.sequence)
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
  return `${ledger.isThisWorkFile(row, entry.sequence) ? 'ours' : 'other'} ${row.state}`
}
