import { setImmediate } from 'node:timers/promises'
import { describeError, hasCode } from '../shared/errors.ts'
import type { Handoff } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import type { BatchMaker } from './batch-maker.ts'
import type { BatchResumer } from './batch-resumer.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { GrowthWatch } from './growth-watch.ts'
import type { Journal } from './journal/journal.ts'
import type { BatchFile } from './ledger/batch.ts'
import type { Ledger, LedgerFile } from './ledger/ledger.ts'
import type { Ending, Settler } from './settle.ts'
import { changedAfterClaim, type Verdict } from './verdict.ts'

type Count = Extract<Verdict, { kind: 'count' }>

/**
 * P4 to P8: the only loop that speaks to MariaDB. Takes all verdicts that wait, merges the sums of
 * those to be counted into one batch, adds it to the totals, writes down why the others are not,
 * and settles the files. The deeper the backlog, the larger the batch, and the fewer rows are
 * touched per file.
 *
 * Files whose content is being applied by somebody else, or is in a batch that is blocked, wait here,
 * without holding up others, until that is decided. A stop ends the batch in hand after the chunk in
 * hand, and keeps its run: the next start goes on from there. Verdicts are dropped then; their
 * entries are still in the journal.
 *
 * A file that has changed since it was read is quarantined instead; one that changed after it was
 * counted is written down as well.
 */
export class LedgerStage {
  readonly #input: Handoff<Verdict>
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #settler: Settler
  readonly #maker: BatchMaker
  readonly #resumer: BatchResumer
  readonly #disk: DiskWatch
  readonly #growth: GrowthWatch
  readonly #filesMax: number
  readonly #log: Log
  #undecided: Count[] = []

  constructor(options: {
    input: Handoff<Verdict>
    journal: Journal
    ledger: Ledger
    settler: Settler
    maker: BatchMaker
    resumer: BatchResumer
    disk: DiskWatch
    growth: GrowthWatch
    filesMax: number
    log: Log
  }) {
    this.#input = options.input
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#settler = options.settler
    this.#maker = options.maker
    this.#resumer = options.resumer
    this.#disk = options.disk
    this.#growth = options.growth
    this.#filesMax = options.filesMax
    this.#log = options.log
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    let lookAgainMs = 0
    try {
      while (!signal.aborted) {
        const verdicts = await this.#input.takeAll(this.#filesMax, signal, LOOK_INTERVAL_MS)
        await this.#disk.room(signal)
        if (signal.aborted) {
          await closeAll(verdicts)
          break
        }
        await this.#bringToEnd(verdicts, signal)
        if (performance.now() < lookAgainMs) continue
        lookAgainMs = performance.now() + LOOK_INTERVAL_MS
        await this.#lookAtOthers(signal)
        for (const growth of this.#growth.takeUnwritten()) await this.#ledger.sightGrowth(growth)
      }
    } catch (error) {
      // When the signal is raised the ledger ends between two chunks, and no longer waits for a
      // database that is away.
      if (!signal.aborted || error !== signal.reason) throw error
    }
    await closeAll([...this.#undecided, ...this.#input.drain()])
  }

  /** At files that wait for a batch which is not in hand, and at batches that stand still. */
  async #lookAtOthers(signal: AbortSignal): Promise<void> {
    try {
      if (this.#undecided.length > 0) await this.#lookAtUndecided(signal)
      await this.#resumer.retryBlocked(signal)
    } catch (error) {
      // Sums that are made anew need room, as a batch in hand does.
      if (!hasCode(error, 'DISK_FULL')) throw error
      await this.#disk.foundFull(describeError(error), signal)
    }
  }

  async #bringToEnd(verdicts: readonly Verdict[], signal: AbortSignal): Promise<void> {
    const counts: Count[] = []
    const endings: Ending[] = []
    for (const verdict of verdicts) {
      if (verdict.kind === 'count') counts.push(verdict)
      else endings.push(await this.#refuse(verdict))
    }
    await this.#settler.settle(endings)
    await this.#countAll(counts, signal)
  }

  async #countAll(counts: Count[], signal: AbortSignal): Promise<void> {
    while (counts.length > 0) {
      try {
        await this.#countSome(counts)
      } catch (error) {
        if (!hasCode(error, 'DISK_FULL')) {
          await closeAll(counts)
          throw error
        }
        await this.#disk.foundFull(describeError(error), signal)
        signal.throwIfAborted()
      }
    }
  }

  /** Brings at least one of the files to an end, and takes it off the list. */
  async #countSome(counts: Count[]): Promise<void> {
    const repeated = await this.#takeRepeated(counts)
    if (repeated.length > 0) return this.#end(repeated)
    const changed = await this.#takeChanged(counts)
    if (changed.length > 0) return this.#end(changed)
    const firsts = firstOfEachContent(counts)
    const batch = await this.#maker.make(firsts.map(batchFile))
    // Until the ledger says otherwise: it may have begun, and then its run is what it ends from.
    let isOver = false
    try {
      const taken = firsts.slice(0, batch.files.length)
      const result = await this.#ledger.apply(batch)
      isOver = result.kind !== 'blocked'
      switch (result.kind) {
        case 'applied':
          remove(counts, taken)
          return await this.#end(
            taken.map(count => ({
              count,
              ending: {
                ...count,
                outcome: 'applied' as const,
                ledgerSequence: result.ledgerSequence,
              },
            })),
          )
        case 'overflow': {
          const guilty = taken[result.fileIndex]!
          remove(counts, [guilty])
          const { reason } = result
          const ending = await this.#refuse({ ...guilty, kind: 'quarantine', reason, evidence: {} })
          return await this.#end([{ count: guilty, ending }])
        }
        case 'claimed':
          return await this.#takeClaimed(counts, taken)
        case 'blocked':
          this.#resumer.blocked(batch.id, result.reason)
          remove(counts, taken)
          this.#undecided.push(...taken)
          return
      }
    } finally {
      await (isOver ? this.#maker.release(batch) : this.#maker.setAside(batch))
    }
  }

  /** Those whose content has been counted meanwhile. */
  async #takeRepeated(counts: Count[]): Promise<Finished[]> {
    const repeated: Finished[] = []
    for (const count of [...counts]) {
      if ((this.#journal.content(count.digest.sha256)?.applied ?? 0) === 0) continue
      remove(counts, [count])
      repeated.push({ count, ending: await this.#refuse({ ...count, kind: 'duplicate' }) })
    }
    return repeated
  }

  /** Those that are not any more what was read. */
  async #takeChanged(counts: Count[]): Promise<Finished[]> {
    const changed: Finished[] = []
    for (const [i, count] of [...counts].entries()) {
      if (i > 0 && i % LOOKED_AT_ONCE_MAX === 0) await setImmediate()
      const change = this.#settler.changeSinceRead(count)
      if (change === undefined) continue
      remove(counts, [count])
      const ending = await this.#refuse({
        ...count,
        kind: 'quarantine',
        ...changedAfterClaim(change),
      })
      changed.push({ count, ending })
    }
    return changed
  }

  /** The ledger has a content of these already: our own work before a crash, or somebody else's. */
  async #takeClaimed(counts: Count[], taken: readonly Count[]): Promise<void> {
    const finished: Finished[] = []
    for (const count of taken) {
      const row = await this.#ledger.find(count.digest.sha256)
      if (row === undefined) continue
      remove(counts, [count])
      if (row.state === 'applying') this.#undecided.push(count)
      else finished.push({ count, ending: await this.#endingOf(count, row) })
    }
    await this.#end(finished)
  }

  async #lookAtUndecided(signal: AbortSignal): Promise<void> {
    const finished: Finished[] = []
    const free: Count[] = []
    for (const count of [...this.#undecided]) {
      const row = await this.#ledger.find(count.digest.sha256)
      if (row?.state === 'applying') {
        await this.#resumer.takeOverIfStalled(row.batchId, signal)
        continue
      }
      remove(this.#undecided, [count])
      if (row === undefined) free.push(count)
      else finished.push({ count, ending: await this.#endingOf(count, row) })
    }
    await this.#end(finished)
    await this.#countAll(free, signal)
  }

  async #endingOf(count: Count, row: LedgerFile): Promise<Ending> {
    if (this.#ledger.isOwn(row, count.entry.sequence)) {
      return { ...count, outcome: 'applied', ledgerSequence: row.sequence }
    }
    return this.#refuse({ ...count, kind: 'duplicate' }, row)
  }

  async #end(finished: readonly Finished[]): Promise<void> {
    await this.#settler.settle(finished.map(({ ending }) => ending))
    await closeAll(finished.map(({ count }) => count))
    for (const { count } of finished) await this.#maker.discardRun(count.entry.runName)
  }

  /** Writes down in the ledger why a file is not counted. */
  async #refuse(found: Exclude<Verdict, { kind: 'count' }>, counted?: LedgerFile): Promise<Ending> {
    const change = found.kind === 'duplicate' ? this.#settler.changeSinceRead(found) : undefined
    const verdict: typeof found =
      change === undefined ? found : { ...found, kind: 'quarantine', ...changedAfterClaim(change) }
    // A parser that was replaced meanwhile must not write down what its successor knows better.
    this.#journal.assertOwner()
    const { entry, digest } = verdict
    const outcome = verdict.kind === 'duplicate' ? 'duplicate' : 'quarantined'
    const reason =
      verdict.kind === 'duplicate' ? this.#duplicateReason(digest.sha256, counted) : verdict.reason
    await this.#ledger.sight({
      workSequence: entry.sequence,
      ...{ sha256: digest.sha256, name: entry.name, outcome, reason, seenAtMs: Date.now() },
    })
    if (verdict.kind === 'duplicate') return { entry, digest, outcome, reason }
    const member = await this.#ledger.rowOf(entry.name, entry.sequence)
    const whatNow = member === undefined ? verdict.whatNow : whatOfAMember(member)
    const advice = whatNow === undefined ? {} : { whatNow }
    return { entry, digest, outcome, reason, evidence: verdict.evidence, ...advice }
  }

  #duplicateReason(sha256: Uint8Array, counted: LedgerFile | undefined): string {
    const known = this.#journal.content(sha256)
    const first = counted ?? this.#journal.processed(known?.applied ?? 0)
    if (first === undefined) this.#log.warn('a duplicate of a content that has no record')
    return first === undefined ? 'counted before' : `counted before as ${first.name}`
  }
}

interface Finished {
  readonly count: Count
  readonly ending: Ending
}

/** Files looked at, each in microseconds, before others on the event loop get a turn. */
const LOOKED_AT_ONCE_MAX = 16

/** How often it is asked whether a batch has ended that files wait for. */
const LOOK_INTERVAL_MS = 500

/** For the person who finds a file in quarantine that the ledger has a row of. */
function whatOfAMember({ state, batchId }: LedgerFile): string {
  if (state !== 'applying') return 'This file was counted: nothing needs to be done.'
  return (
    `This file is in batch ${batchId.toString('hex')}, which has begun: some of its sums may be in the totals. ` +
    'Put exactly this content into the inbox again, under any name: the batch is finished then, and nothing is counted twice.'
  )
}

/** Equal contents of one batch: the first is counted, the others are duplicates of it later. */
function firstOfEachContent(counts: readonly Count[]): Count[] {
  const seen = new Set<string>()
  return counts.filter(({ digest }) => {
    const sha256 = Buffer.from(digest.sha256).toString('hex')
    return !seen.has(sha256) && seen.add(sha256)
  })
}

function batchFile({ entry, digest, sums, largestSum }: Count): BatchFile {
  return {
    sha256: digest.sha256,
    workSequence: entry.sequence,
    name: entry.name,
    sizeBytes: digest.sizeBytes,
    lines: digest.lines,
    amount: digest.amount,
    largestSum,
    claimedAtMs: entry.claimedAtMs,
    digestedAtMs: digest.endedAtMs,
    sums,
  }
}

function remove(list: Count[], some: readonly Count[]): void {
  const gone = new Set(some)
  list.splice(0, list.length, ...list.filter(one => !gone.has(one)))
}

async function closeAll(verdicts: readonly Verdict[]): Promise<void> {
  for (const verdict of verdicts) if (verdict.kind === 'count') await verdict.sums.close()
}
