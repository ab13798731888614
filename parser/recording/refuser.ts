import { type DigestFacts, hexOf, nameAsPublished, type QueueEntry, reasonText } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile } from '../ledger/index.ts'
import type { Verdict } from '../reading/index.ts'
import type { Ending } from '../settling/index.ts'

/**
 * Writes down in the ledger why a file is not counted, before it is settled so: promise 6 does not
 * rest on the journal.
 */
export class Refuser {
  readonly #journal: Journal
  readonly #ledger: Ledger

  constructor(options: { journal: Journal; ledger: Ledger }) {
    this.#journal = options.journal
    this.#ledger = options.ledger
  }

  /** @param counted the row of the file that had this content first. */
  async duplicate(
    verdict: Extract<Verdict, { kind: 'duplicate' | 'count' }>,
    counted: LedgerFile,
  ): Promise<Ending> {
    const reason = `counted before as ${counted.name}`
    await this.#sight(verdict.entry, verdict.digest, 'duplicate', reason)
    return { ...verdict, outcome: 'duplicate', reason }
  }

  /** Its content was counted and taken back: it is not counted again unless somebody says so. */
  async reverted(
    verdict: Extract<Verdict, { kind: 'duplicate' | 'count' }>,
    row: LedgerFile,
  ): Promise<Ending> {
    const { entry, digest } = verdict
    const why = row.reason === null ? '' : `: ${row.reason}`
    const reason = `counted as ${row.name} and taken back${why}`
    const isItself = this.#ledger.isThisWorkFile(row, entry.sequence)
    if (isItself) return { ...verdict, outcome: 'reverted', reason, ledgerSequence: row.sequence }
    await this.#sight(entry, digest, 'reverted', reason)
    return { ...verdict, outcome: 'reverted', reason }
  }

  /** Its sums are recorded, and a person decides whether they are counted. */
  async held(
    verdict: Extract<Verdict, { kind: 'duplicate' | 'count' }>,
    row: LedgerFile,
  ): Promise<Ending> {
    const { entry, digest } = verdict
    const evidence = { code: 'HELD' }
    const hash = hexOf(row.sha256)
    const whatNow = `Nothing of this file is counted yet. "countersink release ${hash}" counts it as well, "countersink refuse ${hash}" does not; "countersink supersede" counts a file in place of another one.`
    const told = { ...verdict, outcome: 'held' as const, evidence, whatNow }
    if (this.#ledger.isThisWorkFile(row, entry.sequence)) {
      const reason = row.reason ?? 'its name was counted before with other content'
      return { ...told, reason, ledgerSequence: row.sequence }
    }
    const reason = `its content is held, as ${row.name}`
    await this.#sight(entry, digest, 'held', reason)
    return { ...told, reason }
  }

  /**
   * To quarantine; unless its file is missing, and the ledger knows what became of it: then the journal
   * was restored from a time before, and learns it now.
   */
  async quarantine(verdict: Extract<Verdict, { kind: 'quarantine' }>): Promise<Ending> {
    const { entry, digest } = verdict
    const { code } = verdict.reason
    const reason = reasonText(verdict.reason)
    const evidence = { code, ...verdict.evidence }
    if (verdict.isMissing) {
      const known = await this.#fateOf(entry, digest)
      if (known !== undefined) return known
    }
    await this.#sight(entry, digest, 'quarantined', reason)
    const member = await this.#ledger.rowOf(entry.name, entry.sequence)
    const whatNow = (member && whatOfAMember(member)) ?? verdict.whatNow
    const advice = whatNow === undefined ? {} : { whatNow }
    return { entry, digest, outcome: 'quarantined', reason, evidence, ...advice }
  }

  async #fateOf(entry: QueueEntry, digest: DigestFacts): Promise<Ending | undefined> {
    const row = await this.#ledger.rowOf(entry.name, entry.sequence)
    if (row?.state === 'applied' || row?.state === 'reverted' || row?.state === 'held') {
      return {
        ...{ entry, digest: { ...digest, ...factsOf(row) } },
        ...{ outcome: row.state, ledgerSequence: row.sequence },
      }
    }
    const sighting = await this.#ledger.sightingOf(entry.name, entry.sequence)
    if (sighting === undefined) return undefined
    const { outcome, reason, sha256 } = sighting
    return { entry, digest: { ...digest, sha256: sha256 ?? digest.sha256 }, outcome, reason }
  }

  async #sight(
    entry: QueueEntry,
    digest: DigestFacts,
    outcome: 'duplicate' | 'quarantined' | 'reverted' | 'held',
    reason: string,
  ): Promise<void> {
    // A parser that was replaced meanwhile must not write down what its successor knows better.
    this.#journal.assertOwner()
    await this.#ledger.sight({
      ...{ workSequence: entry.sequence, sha256: digest.sha256, outcome, reason },
      ...{ name: nameAsPublished(entry, digest), seenAtMs: Date.now() },
    })
  }
}

/** Of a file that is not here any more, as it was when it was read. */
export function factsOf({ sha256, sizeBytes, lines, rejectedLines, amount }: LedgerFile) {
  return {
    ...{ sha256, sizeBytes: Number(sizeBytes), lines: Number(lines) },
    ...(rejectedLines === 0n ? {} : { rejectedLines: Number(rejectedLines) }),
    amount: BigInt(amount),
  }
}

/** For the person who finds a file in quarantine that was recorded before; undefined: what any is told. */
function whatOfAMember({ state }: LedgerFile): string | undefined {
  switch (state) {
    case 'applied':
    case 'reverting':
    case 'reverted':
      return 'This file was counted: nothing needs to be done.'
    case 'staged':
    case 'applying':
    case 'held':
      return 'What was in this file is recorded, and will be counted without it: nothing needs to be done.'
    case 'staging':
    case 'refused':
      return undefined
  }
}
