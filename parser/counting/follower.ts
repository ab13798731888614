/**
 * Files that were settled, and whose row in the ledger has moved on since: taken back, counted again,
 * released or refused. Whoever has the file puts it where its row says, and says so in the history.
 *
 * The list of them is in the ledger (`todo`, kind `move`), written by whoever counts in the transaction
 * that has moved the row on. For each: the file is moved, its directory synced (F1), the history changed
 * (F2), and it is taken off the list if its row still says the same. A crash leaves it on the list; each
 * step finds what was done before. A file that is nowhere any more is not looked for again.
 */

import { dirname, join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { syncDirectories } from '../../shared/durable.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName } from '../../shared/paths.ts'
import type { Outcome } from '../../shared/protocol.ts'
import { hexOf } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import { moveToFree } from '../moves.ts'
import { locateFiles } from './located-files.ts'

export class Follower {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #log: Log
  /** Told once that they cannot be moved. */
  readonly #stuck = new Set<bigint>()

  constructor(options: { paths: StatePaths; journal: Journal; ledger: Ledger; log: Log }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#log = options.log
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    try {
      while (!signal.aborted) {
        const rows = await this.#ledger.toBeMoved(FILES_AT_ONCE)
        for (const row of rows) {
          if (signal.aborted) return
          await this.#follow(row)
        }
        await untilStopped.wait(signal, LOOK_INTERVAL_MS)
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
  }

  async #follow(row: LedgerFile): Promise<void> {
    // Until it is settled it stands in work/: then it goes where its row says at once.
    const entry = this.#journal.queued(Number(row.workSequence))
    if (entry?.name === row.name && entry.stage !== 'settling') return
    const why = await this.#move(row)
    if (why !== undefined) {
      if (!this.#stuck.has(row.sequence)) {
        this.#log.warn('a file cannot be put where the ledger says', {
          ...{ code: 'LEFT_IN_PLACE', name: row.name, sha256: hexOf(row.sha256) },
          ...{ state: row.state, because: why },
        })
      }
      this.#stuck.add(row.sequence)
      return
    }
    this.#stuck.delete(row.sequence)
    crashPoint('F1-moved')
    this.#journal.recast(row.sha256, OUTCOME_OF[row.state as Moved], row.reason ?? undefined)
    crashPoint('F2-history-changed')
    await this.#ledger.moved(row)
  }

  /** @returns why it cannot be moved; undefined: it stands where it must, or nowhere. */
  async #move(row: LedgerFile): Promise<string | undefined> {
    const { name, sha256, workSequence } = row
    const aside = [settledName(name, sha256), settledName(name, sha256, Number(workSequence))]
    const isAside = (path: string | undefined): boolean =>
      path !== undefined && statsIfLookedAt(path) !== undefined
    const reverted = aside.map(one => join(this.#paths.reverted, one)).find(isAside)
    if (row.state === 'reverted') {
      if (reverted !== undefined) return undefined
      const [located] = await locateFiles([row], this.#paths, this.#journal)
      if (located === undefined) return undefined
      return this.#moveTo(
        located.path,
        aside.map(one => join(this.#paths.reverted, one)),
      )
    }
    if (reverted === undefined) return undefined
    return this.#moveTo(reverted, this.#archivePlaces(row))
  }

  #archivePlaces({ name, sha256, workSequence }: LedgerFile): string[] {
    return [settledName(name, sha256), settledName(name, sha256, Number(workSequence))].map(one =>
      join(this.#paths.archive, one),
    )
  }

  async #moveTo(from: string, places: readonly string[]): Promise<string | undefined> {
    let why: string | undefined
    for (const to of places) {
      const failure = moveToFree(from, to)
      if (failure === undefined || failure.isGone) {
        await syncDirectories(dirname(from), dirname(to))
        return undefined
      }
      why = failure.why
      if (!failure.isTaken) break
    }
    return why
  }
}

type Moved = 'applied' | 'reverted' | 'refused'
const OUTCOME_OF: Readonly<Record<Moved, Outcome>> = {
  applied: 'applied',
  reverted: 'reverted',
  refused: 'quarantined',
}

const FILES_AT_ONCE = 64
const LOOK_INTERVAL_MS = 1_000
