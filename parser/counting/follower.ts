/**
 * Files that were settled, and whose row in the ledger has moved on since: taken back, counted again,
 * released or refused. Whoever has the file puts it where its row says, and says so in the history.
 *
 * The list of them is in the ledger (`todo`, kind `move`), written by whoever counts in the transaction
 * that has moved the row on. For each: the file is moved, its directory synced (F1), the history changed
 * (F2), and it is taken off the list if its row still says the same. A crash leaves it on the list; each
 * step finds what was done before. A file that is nowhere any more is not looked for again.
 *
 * A file that was taken back goes from the archive, whichever of its directories it is in, to reverted/, and
 * one that is counted again back to the archive's directory of the day on which it was settled.
 */

import { dirname, join } from 'node:path'
import { archiveDay, archivedName } from '../../shared/archive.ts'
import { crashPoint } from '../../shared/crash-points.ts'
import { syncDirectories } from '../../shared/durable.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import { type StatePaths, settledName, workName } from '../../shared/paths.ts'
import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import { DayDirectories } from '../day-directories.ts'
import { hexOf, isKeptAs } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import { moveToFree } from '../moves.ts'
import { locateArchived } from './located-files.ts'

export class Follower {
  readonly #paths: StatePaths
  readonly #journal: Journal
  readonly #ledger: Pick<Ledger, 'toBeMoved' | 'moved'>
  readonly #log: Log
  readonly #lookIntervalMs: number
  readonly #days = new DayDirectories()
  /** Told once that they cannot be moved. */
  readonly #stuck = new Set<bigint>()

  constructor(options: {
    paths: StatePaths
    journal: Journal
    ledger: Pick<Ledger, 'toBeMoved' | 'moved'>
    log: Log
    lookIntervalMs?: number
  }) {
    this.#paths = options.paths
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#log = options.log
    this.#lookIntervalMs = options.lookIntervalMs ?? LOOK_INTERVAL_MS
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    try {
      while (!signal.aborted) {
        const rows = await this.#ledger.toBeMoved(FILES_AT_ONCE)
        const settled = rows.filter(row => !this.#isInWork(row))
        const archived = await locateArchived(settled, this.#paths)
        for (const row of settled) {
          if (signal.aborted) return
          await this.#follow(row, archived.get(row))
        }
        await untilStopped.wait(signal, this.#lookIntervalMs)
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
  }

  async #follow(row: LedgerFile, archived: string | undefined): Promise<void> {
    const why = await this.#move(row, archived)
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

  /** Then it goes first where it was to go when it was settled. */
  #isInWork(row: LedgerFile): boolean {
    const workSequence = Number(row.workSequence)
    const entry = this.#journal.queued(workSequence)
    if (entry === undefined || !isKeptAs(entry.name, row)) return false
    const path = join(this.#paths.work, workName(workSequence, entry.name))
    return entry.stage !== 'settling' || stands(path)
  }

  /** @returns why it cannot be moved; undefined: it stands where it must, or nowhere. */
  async #move(row: LedgerFile, archived: string | undefined): Promise<string | undefined> {
    const { reverted, quarantine } = this.#paths
    const { applied = 0 } = this.#journal.content(row.sha256) ?? {}
    const record = this.#journal.processed(applied)
    const names = namesAside(row, record)
    const aside = placesIn(reverted, names).find(stands)
    switch (row.state as Moved) {
      case 'reverted':
        return archived && moveToOne(archived, placesIn(reverted, names))
      case 'refused': {
        const from = aside ?? archived
        return from && moveToOne(from, placesIn(quarantine, names))
      }
      case 'applied':
        if (aside === undefined) return undefined
        return archived === undefined
          ? this.#archive(aside, row, record?.settledAtMs ?? Date.now())
          : removeSecondName(aside, archived)
    }
  }

  /** Back to where it stood: the directory of the day on which it was settled. */
  async #archive(from: string, row: LedgerFile, settledAtMs: number): Promise<string | undefined> {
    const { archive } = this.#paths
    const directory = join(archive, archiveDay(settledAtMs))
    const { name, sha256, workSequence } = row
    const names = [archivedName(name, sha256), archivedName(name, sha256, Number(workSequence))]
    const why = await this.#days.ready(archive, directory)
    return why ?? moveToOne(from, placesIn(directory, names))
  }
}

/**
 * What it may be called where names are not of a day: by the name that it had in the inbox, which the history
 * knows, or else as it was published. The last of each is nobody else's.
 */
function namesAside(
  { name, sha256, workSequence }: LedgerFile,
  record: Pick<ProcessedFile, 'name'> | undefined,
): string[] {
  const names = [...new Set([record?.name ?? name, name])]
  return names.flatMap(one => [
    settledName(one, sha256),
    settledName(one, sha256, Number(workSequence)),
  ])
}

function stands(path: string): boolean {
  return statsIfLookedAt(path) !== undefined
}

function placesIn(directory: string, names: readonly string[]): string[] {
  return names.map(name => join(directory, name))
}

/** To the first of them that is free. @returns why it stays */
async function moveToOne(from: string, places: readonly string[]): Promise<string | undefined> {
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

/** A crash may have left it under both; else it is another copy, published while its content was taken back. */
async function removeSecondName(aside: string, archived: string): Promise<string | undefined> {
  const failure = moveToFree(aside, archived)
  if (failure !== undefined && !failure.isGone) return failure.isTaken ? undefined : failure.why
  await syncDirectories(dirname(aside), dirname(archived))
  return undefined
}

type Moved = 'applied' | 'reverted' | 'refused'
const OUTCOME_OF: Readonly<Record<Moved, Outcome>> = {
  applied: 'applied',
  reverted: 'reverted',
  refused: 'quarantined',
}

const FILES_AT_ONCE = 64
const LOOK_INTERVAL_MS = 1_000
