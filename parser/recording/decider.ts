/**
 * What becomes of a file whose content has a row in the ledger: the row decides. What the journal knows
 * of a content is a hint that saves reading sums; where it was wrong the file is read again.
 *
 * | row | of this very file | of another |
 * | --- | --- | --- |
 * | none | to be recorded | to be recorded |
 * | staging | recorded anew | waits; taken over once it stands still |
 * | staged, applying, reverting | waits | waits |
 * | applied | counted | a duplicate |
 * | reverted | reverted | reverted |
 * | held | held | held |
 * | refused | quarantined for that reason | staged or held again, as this file; if it waited for it, as of this very file |
 *
 * A row of the same publication (`origin`), whichever parser has written it, is one of this very file,
 * but for two things: sums that somebody else records are his to record until that stands still, and a
 * publication that was settled here as counted and comes back is a duplicate of itself. A file with bad
 * lines that may not be put aside is the same, but that it is quarantined for them where nothing is recorded
 * of its content, or that is refused.
 *
 * Those that wait do so here, without sums; when there are too many, nothing more is taken.
 */

import { setImmediate } from 'node:timers/promises'
import type { Log } from '../../shared/log.ts'
import { hexOf, loggedFile, nameAsPublished, type QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import { changedAfterClaim, closeAll, type Verdict } from '../reading/index.ts'
import type { Ending, Settler } from '../settling/index.ts'
import { deleteRun } from '../sums/index.ts'
import { type NamePolicy, named } from './name-policy.ts'
import { factsOf, type Refuser } from './refuser.ts'
import { type Repeat, UndecidedFiles } from './undecided-files.ts'

/** A file whose sums are at hand. */
export type ReadFile = Extract<Verdict, { kind: 'count' }>

/** Files that are to be counted, and whose sums are here. */
export interface Undone {
  /** Nobody has claimed their content. */
  readonly unclaimed: ReadFile[]
  /** Their recording was begun, by us before a crash or by somebody else, and is to be done anew. */
  readonly begun: ReadFile[]
}

export class Decider {
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #settler: Settler
  readonly #refuser: Refuser
  readonly #namePolicy: NamePolicy
  readonly #runsDirectory: string
  readonly #filesMax: number
  readonly #stalledMs: () => number
  readonly #readAgain: (sequence: number) => void
  readonly #onNamesakes: (names: ReadonlyMap<string, number>) => void
  readonly #log: Log
  readonly #undecided: UndecidedFiles

  constructor(options: {
    journal: Journal
    ledger: Ledger
    settler: Settler
    refuser: Refuser
    namePolicy: NamePolicy
    runsDirectory: string
    /** Asked for at once. */
    filesMax: number
    /** How long another's recording may stand still. */
    stalledMs: () => number
    /** The sums of a file are needed after all. */
    readAgain: (sequence: number) => void
    /** Names that were counted with more than one content, and how many. */
    onNamesakes: (names: ReadonlyMap<string, number>) => void
    log: Log
  }) {
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#settler = options.settler
    this.#refuser = options.refuser
    this.#namePolicy = options.namePolicy
    this.#runsDirectory = options.runsDirectory
    this.#filesMax = options.filesMax
    this.#stalledMs = options.stalledMs
    this.#readAgain = options.readAgain
    this.#onNamesakes = options.onNamesakes
    this.#log = options.log
    this.#undecided = new UndecidedFiles(options.filesMax * UNDECIDED_BATCHES_MAX)
  }

  /** What files wait for; undefined: none does. */
  get reason(): string | undefined {
    return this.#undecided.reason
  }

  get isFull(): boolean {
    return this.#undecided.isFull
  }

  get isEmpty(): boolean {
    return this.#undecided.isEmpty
  }

  /** Whether the journal calls this content counted. */
  isHinted(sha256: Uint8Array): boolean {
    return (this.#journal.content(sha256)?.applied ?? 0) > 0
  }

  /** A recording by somebody else that is not to be waited for any longer. */
  isStalled(row: LedgerFile): boolean {
    return this.#undecided.isStalled(row, this.#stalledMs())
  }

  /** Settles those whose row is final, and lets wait whom it does not concern now. */
  async decide(verdicts: readonly (ReadFile | Repeat)[]): Promise<Undone> {
    const undone: Undone = { unclaimed: [], begun: [] }
    if (verdicts.length === 0) return undone
    const rows = await this.#ledger.findAll(verdicts.map(({ digest }) => digest.sha256))
    const finished: Finished[] = []
    for (const verdict of verdicts) {
      const row = rows.get(hexOf(verdict.digest.sha256))
      const { entry } = verdict
      const isOurs = row !== undefined && this.#ledger.isThisWorkFile(row, entry.sequence)
      const isPublication = row !== undefined && this.#isSamePublication(row, entry)
      if (row !== undefined && row.state !== 'staging') this.#undecided.forget(row)
      if (row?.state === 'applied') {
        finished.push({ verdict, ending: await this.#endingOf(verdict, row) })
      } else if (row?.state === 'reverted') {
        finished.push({ verdict, ending: await this.#refuser.reverted(verdict, row) })
      } else if (row?.state === 'held') {
        finished.push({ verdict, ending: await this.#refuser.held(verdict, row) })
      } else if (row?.state === 'refused' && (isPublication || hasWaited(verdict))) {
        finished.push({ verdict, ending: await this.#refused(verdict, row) })
      } else if (
        row === undefined ||
        (row.state === 'staging' && (isOurs || this.isStalled(row)))
      ) {
        // Else it would be taken for a duplicate again.
        this.#unlearn(verdict)
        if (verdict.kind !== 'count') this.#readAgain(entry.sequence)
        else if (row === undefined) undone.unclaimed.push(verdict)
        else undone.begun.push(verdict)
      } else {
        if (row.state === 'refused') {
          const { sequence: workSequence, provenance, terms, claimedAtMs } = entry
          const name = nameAsPublished(entry, verdict.digest)
          const digestedAtMs = verdict.digest.endedAtMs
          const held = await this.#namePolicy.toBeHeld([verdict])
          const heldBecause = held.get(hexOf(row.sha256))
          const times = { claimedAtMs, digestedAtMs, heldBecause }
          const offer = { ...provenance, name, workSequence, terms, ...times }
          await this.#ledger.offerAgain(row, offer)
        }
        await this.wait(verdict, { hasWaited: true })
      }
    }
    await this.end(finished)
    return undone
  }

  /** It waits for what becomes of its row. Sealed sums stay where they are, others are made again. */
  async wait(verdict: ReadFile | Repeat, { hasWaited = false } = {}): Promise<void> {
    const { entry, digest } = verdict
    this.#undecided.add({ kind: 'duplicate', entry, digest, hasWaited })
    await closeAll([verdict])
  }

  /**
   * What is quarantined for itself alone is a repeat where the ledger says more: of a file that is missing,
   * whose sums are recorded (a journal that was restored from a time before knows nothing of them); and of
   * bad lines, where the good ones of this content are counted, or may be: whatever may be put aside now,
   * nobody is to mend the whole file, and count them twice.
   */
  async repeatOf(verdict: Extract<Verdict, { kind: 'quarantine' }>): Promise<Repeat | undefined> {
    const { entry, digest } = verdict
    const row = await this.#rowBehind(verdict)
    if (row === undefined) return undefined
    const isItself = this.#ledger.isThisWorkFile(row, entry.sequence)
    const facts = isItself ? { ...digest, ...factsOf(row) } : digest
    return { kind: 'duplicate', entry, digest: facts, hasWaited: true }
  }

  async #rowBehind({
    entry,
    digest,
    isMissing,
    isForItsLines,
  }: Extract<Verdict, { kind: 'quarantine' }>): Promise<LedgerFile | undefined> {
    if (isMissing) {
      const row = await this.#ledger.rowOf(entry.name, entry.sequence)
      return row !== undefined && UNDECIDED.has(row.state) ? row : undefined
    }
    if (!isForItsLines) return undefined
    const row = (await this.#ledger.findAll([digest.sha256])).get(hexOf(digest.sha256))
    if (row?.state === 'refused') return undefined
    return row?.state === 'staging' && this.isStalled(row) ? undefined : row
  }

  /** At those that wait, as many as fit into one question, in turn. */
  async lookAgain(): Promise<void> {
    await this.decide(this.#undecided.take(this.#filesMax))
  }

  /** Quarantines those that are not any more what was read. @returns the others */
  async endChanged(files: readonly ReadFile[]): Promise<ReadFile[]> {
    const unchanged: ReadFile[] = []
    const changed: Finished[] = []
    for (const [i, file] of files.entries()) {
      if (i > 0 && i % LOOKED_AT_ONCE_MAX === 0) await setImmediate()
      const change = this.#settler.changeSinceRead(file)
      if (change === undefined) unchanged.push(file)
      else changed.push({ verdict: file, ending: await this.#changed(file, change) })
    }
    await this.end(changed)
    return unchanged
  }

  /** Settles files, and lets go of their sums. */
  async end(finished: readonly Finished[]): Promise<void> {
    if (finished.length === 0) return
    await this.#settler.settle(finished.map(({ ending }) => ending))
    await closeAll(finished.map(({ verdict }) => verdict))
    for (const { verdict } of finished) {
      const { runName } = verdict.entry
      if (runName !== undefined) await deleteRun(this.#runsDirectory, runName)
    }
    const counted = finished.filter(({ ending }) => ending.outcome === 'applied')
    if (counted.length === 0 || !this.#namePolicy.tells) return
    const names = counted.map(({ ending }) => named(ending))
    this.#onNamesakes(await this.#ledger.namesakesOf(names))
  }

  #isSamePublication(row: LedgerFile, { sequence, provenance }: QueueEntry): boolean {
    const published = { workSequence: sequence, origin: provenance?.origin }
    return this.#ledger.isThisPublication(row, published)
  }

  #unlearn({ digest, entry }: ReadFile | Repeat): void {
    if (!this.isHinted(digest.sha256)) return
    this.#log.warn('the journal calls a content counted that the ledger does not have', {
      ...loggedFile(entry, digest),
      code: 'NOT_IN_LEDGER',
    })
    this.#journal.unlearn(digest.sha256)
  }

  async #endingOf(verdict: ReadFile | Repeat, row: LedgerFile): Promise<Ending> {
    const { entry } = verdict
    const isThisOne = this.#isSamePublication(row, entry) && !this.isHinted(row.sha256)
    if (isThisOne || this.#ledger.isThisWorkFile(row, entry.sequence)) {
      this.#ledger.counted(row)
      return { ...verdict, outcome: 'applied', ledgerSequence: row.sequence }
    }
    const change = this.#settler.changeSinceRead(verdict)
    if (change === undefined) return this.#refuser.duplicate(verdict, row)
    return this.#changed(verdict, change)
  }

  #changed(verdict: ReadFile | Repeat, change: string): Promise<Ending> {
    return this.#refuser.quarantine({
      ...verdict,
      ...{ kind: 'quarantine', ...changedAfterClaim(change) },
    })
  }

  #refused(verdict: ReadFile | Repeat, { reason }: LedgerFile): Promise<Ending> {
    const [, code = 'TOTAL_REFUSED', text = ''] = /^([A-Z_]+): (.*)$/s.exec(reason ?? '') ?? []
    return this.#refuser.quarantine({
      ...verdict,
      ...{ kind: 'quarantine', reason: { code, text }, evidence: {} },
    })
  }
}

/**
 * Then a refusal of the row is this file's as well. If each of two hosts that have a content offered it
 * again, it would be refused in turns for ever.
 */
function hasWaited(verdict: ReadFile | Repeat): boolean {
  return 'hasWaited' in verdict && verdict.hasWaited === true
}

export interface Finished {
  readonly verdict: ReadFile | Repeat
  readonly ending: Ending
}

/** Its sums are in the ledger, and what becomes of them is not final. */
const UNDECIDED: ReadonlySet<LedgerFile['state']> = new Set([
  ...(['staged', 'applying', 'reverting', 'held'] as const),
])

/** Files looked at, each in microseconds, before others on the event loop get a turn. */
const LOOKED_AT_ONCE_MAX = 16

/** Undecided files beyond so many full batches hold up everything. */
const UNDECIDED_BATCHES_MAX = 4
