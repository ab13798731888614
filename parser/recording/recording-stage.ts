/**
 * The loop behind reading: takes all verdicts that wait, settles what is not to be counted, and brings
 * the sums of the others to where they are counted.
 *
 * Where this parser counts, the sums of a file that fit one transaction go on as they are, and are
 * recorded in the transaction that counts them. All others are recorded in the ledger first, and wait
 * there for whoever counts, or for a person (`name-policy.ts`); from then on nothing here is needed for that.
 *
 * Right before a file is recorded, or counted, it is compared once more with what was read: one that has
 * changed is quarantined instead. A stop drops verdicts: their
 * entries are still in the journal, and what was recorded of them is taken up by the next start.
 */

import { Bell, type Handoff } from '../../shared/handoff.ts'
import type { DiskWatch } from '../disk-watch.ts'
import { hexOf } from '../facts.ts'
import type { Ledger } from '../ledger/index.ts'
import { closeAll, type Verdict } from '../reading/index.ts'
import type { Ending, GrowthWatch, Settler } from '../settling/index.ts'
import { batchFile, firstOfEachContent } from './contents.ts'
import type { Decider, ReadFile } from './decider.ts'
import type { NamePolicy } from './name-policy.ts'
import type { Refuser } from './refuser.ts'
import type { Repeat } from './undecided-files.ts'

export class RecordingStage {
  readonly #input: Handoff<Verdict>
  readonly #output: Handoff<ReadFile>
  readonly #ledger: Ledger
  readonly #settler: Settler
  readonly #decider: Decider
  readonly #refuser: Refuser
  readonly #namePolicy: NamePolicy
  readonly #disk: DiskWatch
  readonly #growth: GrowthWatch
  readonly #filesMax: number
  readonly #chunkPairsMax: number
  /** By the clock of `performance.now`. */
  #lookAgainMs = 0

  constructor(options: {
    input: Handoff<Verdict>
    output: Handoff<ReadFile>
    ledger: Ledger
    settler: Settler
    decider: Decider
    refuser: Refuser
    namePolicy: NamePolicy
    disk: DiskWatch
    growth: GrowthWatch
    filesMax: number
    chunkPairsMax: number
  }) {
    this.#input = options.input
    this.#output = options.output
    this.#ledger = options.ledger
    this.#settler = options.settler
    this.#decider = options.decider
    this.#refuser = options.refuser
    this.#namePolicy = options.namePolicy
    this.#disk = options.disk
    this.#growth = options.growth
    this.#filesMax = options.filesMax
    this.#chunkPairsMax = options.chunkPairsMax
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        const verdicts = await this.#take(signal)
        await this.#disk.room(signal)
        if (signal.aborted) {
          await closeAll(verdicts)
          break
        }
        await this.#bringOn(verdicts, signal)
        if (performance.now() < this.#lookAgainMs) continue
        this.#lookAgainMs = performance.now() + LOOK_INTERVAL_MS
        if (!this.#decider.isEmpty) await this.#decider.lookAgain()
        for (const growth of this.#growth.takeUnwritten()) await this.#ledger.sightGrowth(growth)
      }
    } catch (error) {
      // When the signal is raised the ledger ends between two portions, and no longer waits for a
      // database that is away.
      if (!signal.aborted || error !== signal.reason) throw error
    }
    await closeAll(this.#input.drain())
    await closeAll(this.#output.drain())
  }

  /** Nothing as long as too many files are undecided: whoever hands on waits then. */
  async #take(signal: AbortSignal): Promise<Verdict[]> {
    if (!this.#decider.isFull) return this.#input.takeAll(this.#filesMax, signal, LOOK_INTERVAL_MS)
    await new Bell().wait(signal, LOOK_INTERVAL_MS)
    return []
  }

  async #bringOn(verdicts: readonly Verdict[], signal: AbortSignal): Promise<void> {
    const counts: ReadFile[] = []
    const repeats: Repeat[] = []
    const endings: Ending[] = []
    for (const verdict of verdicts) {
      if (verdict.kind === 'count') counts.push(verdict)
      else if (verdict.kind === 'duplicate') repeats.push(verdict)
      else {
        const repeat = await this.#decider.repeatOf(verdict)
        if (repeat !== undefined) repeats.push(repeat)
        else endings.push(await this.#refuser.quarantine(verdict))
      }
    }
    await this.#settler.settle(endings)
    await this.#decider.decide(repeats)
    const hinted = counts.filter(({ digest }) => this.#decider.isHinted(digest.sha256))
    const others = counts.filter(count => !hinted.includes(count))
    const { unclaimed, begun } = await this.#decider.decide(hinted)
    await this.#passOn([...others, ...unclaimed], signal)
    await this.record(begun)
  }

  /** To whoever counts: directly if that is here, else by the ledger. */
  async #passOn(files: readonly ReadFile[], signal: AbortSignal): Promise<void> {
    if (files.length === 0) return
    // Else one name could be counted twice before the ledger knows of it.
    if (this.#namePolicy.holds) return await this.record(files)
    const counts = await this.#ledger.counter.takeLease()
    const fits = ({ sums, entry }: ReadFile): boolean =>
      counts && sums.pairs <= this.#chunkPairsMax && entry.terms?.supersedes === undefined
    for (const file of files.filter(fits)) {
      if (!(await this.#output.put(file, signal))) await closeAll([file])
    }
    await this.record(files.filter(file => !fits(file)))
  }

  /** Records files whose sums are here; they wait for whoever counts. */
  async record(files: readonly ReadFile[]): Promise<void> {
    const unchanged = await this.#decider.endChanged(files)
    if (unchanged.length === 0) return
    const firsts = firstOfEachContent(unchanged)
    const held = await this.#namePolicy.toBeHeld(firsts)
    await this.#ledger.recorder.record(
      firsts.map(file => batchFile(file, held.get(hexOf(file.digest.sha256)))),
      row => this.#decider.isStalled(row),
    )
    for (const file of unchanged) await this.#decider.wait(file)
    this.#output.wake()
  }

  /** What waits here may have been counted. */
  lookSoon(): void {
    this.#lookAgainMs = 0
    this.#input.wake()
  }
}

/** How often it is asked what has become of files that wait. */
const LOOK_INTERVAL_MS = 500
