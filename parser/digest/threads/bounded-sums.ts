/**
 * The sums of one file, however many consumers it has: a table of bounded size, and sealed runs of
 * what did not fit. Lives in the sum thread; every step here blocks it.
 *
 * Runs are only ever added and, many at a time, replaced by a merged one: nothing is deleted here.
 * Who names a run is the main thread's knowledge (`run-keeper.ts`), which hears of each change.
 */

import { join } from 'node:path'
import { crashPoint } from '../../../shared/crash-points.ts'
import {
  type PairChunk,
  RunBlocks,
  type RunFacts,
  type RunLabel,
  syncRunsSync,
  unreadable,
  verifyRunSync,
  writeRunSync,
} from '../../sums/index.ts'
import type { PairSource, SumKernel } from '../sum-kernel.ts'
import { mergeRuns } from './run-merge.ts'

/** More runs than this are merged before another is added. */
export const RUNS_MAX = 32
/** At least so many of the newest are merged at once. */
const COMPACTED_MIN = RUNS_MAX / 2

export interface BoundedSumsOptions {
  /** Reset for this file. */
  readonly table: SumKernel
  readonly directory: string
  /** The owner that runs name. */
  readonly owner: string
  /** What the names of new runs begin with: of no earlier digest. */
  readonly namesFrom: string
  /** Called when the list of runs has changed. */
  readonly onRuns: (names: readonly string[]) => void
  /** Called now and then in a long step; may throw to end it. */
  readonly pause: () => void
}

export interface Run {
  readonly name: string
  readonly pairs: number
}

export class BoundedSums {
  readonly #options: BoundedSumsOptions
  readonly #label: RunLabel
  #runs: Run[] = []
  /** Names of runs that are not durable. */
  readonly #unsynced = new Set<string>()
  #named = 0

  constructor(options: BoundedSumsOptions) {
    this.#options = options
    this.#label = { owner: options.owner }
  }

  get table(): SumKernel {
    return this.#options.table
  }

  /** Names, oldest first. */
  get runs(): readonly string[] {
    return this.#runs.map(run => run.name)
  }

  /** Goes on from these runs, which together hold `amount`. @throws RUN_UNREADABLE */
  adopt(names: readonly string[], amount: bigint): void {
    let found = 0n
    for (const name of names) {
      const path = this.#path(name)
      const facts = verifyRunSync(path, this.#options.pause)
      if (facts.owner !== this.#options.owner) {
        throw unreadable(path, `it belongs to ${facts.owner}`)
      }
      found += facts.amount
      this.#runs.push({ name, pairs: facts.pairs })
    }
    if (found !== amount) {
      throw unreadable(this.#options.directory, `the runs hold ${found}, expected ${amount}`)
    }
  }

  /** What `goBackTo` takes. */
  get state(): readonly Run[] {
    return [...this.#runs]
  }

  /**
   * Forgets the table's sums, and all runs made since it was in this state. The runs of that time
   * must still be needed by somebody.
   */
  goBackTo(state: readonly Run[]): void {
    this.table.clear()
    this.#runs = [...state]
    this.#changed()
  }

  /** Makes all runs durable: for a checkpoint that names them. */
  sync(): void {
    syncRunsSync(
      this.#options.directory,
      this.runs.filter(name => this.#unsynced.has(name)),
    )
    this.#unsynced.clear()
  }

  /** Moves the table's sums into a run. @throws SumOverflow */
  seal(): void {
    if (this.table.pairs === 0) return
    const sorted = this.table.sorted()
    const { name, pairs } = this.#write(put => {
      for (let chunk = sorted.next(); chunk !== undefined; chunk = sorted.next()) put(chunk)
    })
    this.#runs.push({ name, pairs })
    this.table.clear()
    this.#changed()
    if (this.#runs.length > RUNS_MAX) this.#compact()
  }

  /**
   * Looks whether any sum is too large, and writes nothing. From here on nothing can be added.
   * @throws SumOverflow
   */
  check(): void {
    this.#merge(this.#runs, this.table.sorted(), () => {})
  }

  /** All sums in exactly one run. @throws SumOverflow */
  finish(): RunFacts & { name: string } {
    const [only] = this.#runs
    let run: RunFacts & { name: string }
    if (only !== undefined && this.#runs.length === 1 && this.table.pairs === 0) {
      const blocks = RunBlocks.open(this.#path(only.name))
      blocks.close()
      run = { ...blocks.facts, name: only.name }
    } else {
      const sorted = this.table.sorted()
      run = this.#write(put => this.#merge(this.#runs, sorted, put))
      this.table.clear()
      this.#runs = [run]
      this.#changed()
    }
    crashPoint('P3-final-run-sealed')
    return run
  }

  /**
   * Merges the newest runs, and those before them that are not much larger: a large run is not
   * written again before as much has gathered behind it, and what all runs take on the disk stays
   * within a small multiple of what the file's consumers take once.
   */
  #compact(): void {
    let first = this.#runs.length - COMPACTED_MIN
    let pairs = this.#runs.slice(first).reduce((sum, run) => sum + run.pairs, 0)
    while (first > 0 && this.#runs[first - 1]!.pairs <= pairs * 2) {
      first -= 1
      pairs += this.#runs[first]!.pairs
    }
    const merged = this.#write(put => this.#merge(this.#runs.slice(first), undefined, put))
    crashPoint('P2-runs-compacted')
    this.#runs.splice(first, this.#runs.length - first, merged)
    this.#changed()
  }

  #write(fill: (put: (chunk: PairChunk) => void) => void): RunFacts & { name: string } {
    const { directory, namesFrom } = this.#options
    this.#named += 1
    const name = `${namesFrom}-${String(this.#named).padStart(6, '0')}.run`
    const facts = writeRunSync(directory, name, this.#label, fill)
    this.#unsynced.add(name)
    return { ...facts, name }
  }

  #merge(runs: readonly Run[], more: PairSource | undefined, put: (chunk: PairChunk) => void) {
    const { table: kernel, pause } = this.#options
    const paths = runs.map(({ name }) => this.#path(name))
    mergeRuns({ paths, ...(more === undefined ? {} : { more }), kernel, put, pause })
  }

  #changed(): void {
    this.#options.onRuns(this.runs)
  }

  #path(name: string): string {
    return join(this.#options.directory, name)
  }
}
