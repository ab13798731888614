/**
 * Files that were settled, and whose row in the ledger has moved on since: taken back, counted again,
 * released or refused. Whoever has the file puts it where its row says, and says so in the history.
 *
 * The list of them is in the ledger (`todo`, kind `move`), written by whoever counts in the transaction
 * that has moved the row on. For each: what is to be said beside it is written, the file is moved, its
 * directory synced (F1), the history changed (F2), and it is taken off the list if its row still says the
 * same. A crash leaves it on the list; each step finds what was done before. A file that is nowhere any
 * more is not looked for again. With a held file go those of the same content that came meanwhile.
 *
 * A file that was taken back goes from the archive, whichever of its directories it is in, to reverted/, and
 * one that is counted again back to the archive's directory of the day on which it was settled.
 */

import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { archiveDay, archivedName } from '../../shared/archive.ts'
import { crashPoint } from '../../shared/crash-points.ts'
import { replaceFile, syncDirectories } from '../../shared/durable.ts'
import { describeError, hasCode, toError } from '../../shared/errors.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { isOneInode, statsIfLookedAt } from '../../shared/looks.ts'
import {
  parseSettledName,
  SIDECAR_SUFFIX,
  type StatePaths,
  settledName,
  sidecarPath,
  workName,
} from '../../shared/paths.ts'
import { printableLines } from '../../shared/printable.ts'
import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import { DayDirectories } from '../day-directories.ts'
import { hexOf, isKeptAs } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import { moveToFree, removeIfThere } from '../moves.ts'
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
      for (let behind = 0n; !signal.aborted; ) {
        const rows = await this.#ledger.toBeMoved(FILES_AT_ONCE, behind)
        // Those that cannot be moved now hold up nobody: the others come in turn.
        const hasMore = rows.length === FILES_AT_ONCE
        behind = hasMore ? rows.at(-1)!.sequence : 0n
        const settled = rows.filter(row => !this.#isInWork(row))
        const archived = await locateArchived(settled, this.#paths)
        for (const row of settled) {
          if (signal.aborted) return
          await this.#follow(row, archived.get(row))
        }
        if (!hasMore) await untilStopped.wait(signal, this.#lookIntervalMs)
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
    const { reverted, quarantine, duplicate } = this.#paths
    const { applied = 0 } = this.#journal.content(row.sha256) ?? {}
    const record = this.#journal.processed(applied)
    const names = namesAside(row, record)
    const aside = placesIn(reverted, names).find(stands)
    const held = await this.#heldOf(row, names)
    const from = held[0] ?? aside
    const why = await this.#moveOne(row, { from, archived, names, record })
    if (why !== undefined) return why
    // The same content again, published while it was held.
    for (const copy of held.filter(stands)) {
      const places = [join(row.state === 'refused' ? quarantine : duplicate, basename(copy))]
      const stays = await this.#fromAside(copy, places, row)
      if (stays !== undefined) return stays
    }
    await this.#removeSaid(row)
    return undefined
  }

  async #moveOne(row: LedgerFile, where: Standing): Promise<string | undefined> {
    const { reverted, quarantine } = this.#paths
    const { from, archived, names, record } = where
    switch (row.state as Moved) {
      case 'reverted': {
        const there = archived ?? from
        const places = placesIn(reverted, names)
        return there && !places.includes(there) ? this.#fromAside(there, places, row) : undefined
      }
      case 'refused': {
        const there = from ?? archived
        return there && this.#fromAside(there, placesIn(quarantine, names), row)
      }
      case 'applied': {
        if (from === undefined) return undefined
        return archived === undefined
          ? this.#archive(from, row, record?.settledAtMs ?? Date.now())
          : removeSecondName(from, archived)
      }
    }
  }

  /** What stands in held/ with this content: the file that has brought it first. */
  async #heldOf(row: LedgerFile, names: readonly string[]): Promise<string[]> {
    const found = (await entriesOf(this.#paths.held)).filter(entry => isOfContent(entry, row))
    const own = names.filter(entry => found.includes(entry))
    const others = found.filter(entry => !own.includes(entry))
    return placesIn(this.#paths.held, [...own, ...others])
  }

  /** With what is to be said beside it. */
  async #fromAside(
    from: string,
    places: readonly string[],
    row: LedgerFile,
  ): Promise<string | undefined> {
    for (const to of row.state === 'refused' ? places : []) {
      if (stands(to) && !isOneFile(from, to)) continue
      const unwritten = await writeSidecar(sidecarPath(dirname(to), basename(to)), sidecarOf(row))
      return unwritten ?? (await moveToOne(from, [to]))
    }
    return moveToOne(from, places)
  }

  /** What was said in held/ beside files that have left it. */
  async #removeSaid(row: LedgerFile): Promise<void> {
    for (const entry of await entriesOf(this.#paths.held)) {
      if (!entry.endsWith(SIDECAR_SUFFIX)) continue
      const file = entry.slice(0, -SIDECAR_SUFFIX.length)
      if (!isOfContent(file, row) || stands(join(this.#paths.held, file))) continue
      removeIfThere(join(this.#paths.held, entry))
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

/** Where a file stands: in held/ or reverted/, and in the archive. */
interface Standing {
  readonly from: string | undefined
  readonly archived: string | undefined
  readonly names: readonly string[]
  readonly record: ProcessedFile | undefined
}

function isOfContent(entry: string, { name, sha256 }: LedgerFile): boolean {
  const { hashPrefix } = parseSettledName(settledName(name, sha256)) ?? {}
  return hashPrefix !== undefined && parseSettledName(entry)?.hashPrefix === hashPrefix
}

function isOneFile(one: string, other: string): boolean {
  const [a, b] = [statsIfLookedAt(one), statsIfLookedAt(other)]
  return a !== undefined && b !== undefined && isOneInode(a, b)
}

async function entriesOf(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    // It is made again by whoever looks after the directories.
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
    throw error
  }
}

/** @returns why it cannot be written. */
async function writeSidecar(path: string, text: string): Promise<string | undefined> {
  try {
    await replaceFile(path, text)
    return undefined
  } catch (error) {
    if (hasCode(toError(error).cause, 'EIO')) throw error
    return `its sidecar cannot be written: ${describeError(error)}`
  }
}

function sidecarOf({ name, workSequence, sha256, sizeBytes, reason }: LedgerFile): string {
  const sidecar = {
    ...{ name, workSequence: Number(workSequence), sha256: hexOf(sha256), size: Number(sizeBytes) },
    ...{ reason, code: /^([A-Z_]+): /.exec(reason ?? '')?.[1] },
    quarantinedAt: new Date().toISOString(),
    whatNow:
      'Nothing of this file is counted. "countersink requeue" brings it back into the inbox, also with a mended file in its place.',
  }
  return printableLines(`${JSON.stringify(sidecar, null, 2)}\n`)
}

type Moved = 'applied' | 'reverted' | 'refused'
const OUTCOME_OF: Readonly<Record<Moved, Outcome>> = {
  applied: 'applied',
  reverted: 'reverted',
  refused: 'quarantined',
}

const FILES_AT_ONCE = 64
const LOOK_INTERVAL_MS = 1_000
