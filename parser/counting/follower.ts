/**
 * Files that were settled, and whose row in the ledger has moved on since: taken back, counted again,
 * released or refused. Whoever has the file puts it where its row says, and says so in the history.
 *
 * The list of them is in the ledger (`todo`, kind `move`), written by whoever counts in the transaction
 * that has moved the row on. For each: what is to be said beside it is written, the file is moved, its
 * directory synced (F1), the history changed (F2), and it is taken off the list if its row still says the
 * same. A crash leaves it on the list; each step finds what was done before. A file that is nowhere any
 * more is not looked for again. With a held file go those of the same content that came meanwhile.
 */

import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { replaceFile, syncDirectories } from '../../shared/durable.ts'
import { describeError, hasCode, toError } from '../../shared/errors.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Log } from '../../shared/log.ts'
import { isOneInode, statsIfLookedAt } from '../../shared/looks.ts'
import { parseSettledName, type StatePaths, settledName, sidecarPath } from '../../shared/paths.ts'
import { printableLines } from '../../shared/printable.ts'
import type { Outcome } from '../../shared/protocol.ts'
import { hexOf } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import { moveToFree, removeIfThere } from '../moves.ts'
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
    const { archive, reverted, quarantine, duplicate } = this.#paths
    const held = await this.#heldOf(row)
    const to = { applied: archive, reverted, refused: quarantine }[row.state as Moved]
    const isThere = namesOf(row).some(name => standsAt(join(to, name)))
    const from = isThere ? undefined : (held[0] ?? (await this.#elsewhere(row)))
    if (from !== undefined) {
      const why = await this.#moveTo(from, to, row)
      if (why !== undefined) return why
    }
    // The same content again, published while it was held.
    for (const copy of held.filter(path => path !== from)) {
      const why = await this.#moveTo(copy, row.state === 'refused' ? quarantine : duplicate, row)
      if (why !== undefined) return why
    }
    return undefined
  }

  /** What stands in held/ with this content: the file that has brought it first. */
  async #heldOf({ name, sha256 }: LedgerFile): Promise<string[]> {
    const hashPrefix = parseSettledName(settledName(name, sha256))?.hashPrefix
    const found = (await entriesOf(this.#paths.held)).flatMap(entry => {
      const parsed = parseSettledName(entry)
      return parsed?.hashPrefix === hashPrefix && parsed ? [{ entry, name: parsed.name }] : []
    })
    const own = found.filter(one => one.name === name)
    const others = found.filter(one => one.name !== name)
    return [...own, ...others].map(({ entry }) => join(this.#paths.held, entry))
  }

  /** Where it stands, of those that its row may have moved on from. */
  async #elsewhere(row: LedgerFile): Promise<string | undefined> {
    if (row.state === 'reverted') {
      const [located] = await locateFiles([row], this.#paths, this.#journal)
      return located?.path
    }
    return namesOf(row)
      .map(name => join(this.#paths.reverted, name))
      .find(standsAt)
  }

  /** With what is to be said beside it, and without what was said where it stood. */
  async #moveTo(from: string, directory: string, row: LedgerFile): Promise<string | undefined> {
    const isRefused = directory === this.#paths.quarantine
    let why: string | undefined
    for (const name of namesFor(from, row)) {
      const to = join(directory, name)
      if (isRefused) {
        if (standsAt(to) && !isOneFile(from, to)) continue
        const unwritten = await writeSidecar(sidecarPath(directory, name), sidecarOf(row))
        if (unwritten !== undefined) return unwritten
      }
      const failure = moveToFree(from, to)
      if (failure === undefined || failure.isGone) {
        removeIfThere(sidecarPath(dirname(from), basename(from)))
        await syncDirectories(dirname(from), directory)
        return undefined
      }
      why = failure.why
      if (!failure.isTaken) break
    }
    return why ?? 'its name is taken'
  }
}

/** The names that it may have where it is settled. */
function namesOf({ name, sha256, workSequence }: LedgerFile): readonly string[] {
  return [settledName(name, sha256), settledName(name, sha256, Number(workSequence))]
}

/** Of a copy that came under another name, or later, its own. */
function namesFor(from: string, row: LedgerFile): ReadonlySet<string> {
  const own = namesOf(row)
  const entry = basename(from)
  return new Set(parseSettledName(entry)?.name === row.name ? [...own, entry] : [entry])
}

function standsAt(path: string): boolean {
  return statsIfLookedAt(path) !== undefined
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
