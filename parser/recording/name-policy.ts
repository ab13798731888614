/**
 * Whether a file is held because its name was counted before with other content (`COUNTERSINK_SAME_NAME`).
 *
 * It is decided before a file is recorded, by what the ledger has under its name, whichever parser has
 * brought it; so where files are held all are recorded one look after the other, and none is counted
 * without. What two parsers claim in the same moment neither of them sees: then both are counted, and it is
 * told as where files are not held.
 *
 * What says itself why its name comes again, as it replaces another content or mends one, is never held.
 */

import type { Config } from '../../shared/config.ts'
import { givenName } from '../../shared/paths.ts'
import { hexOf, type QueueEntry } from '../facts.ts'
import type { Ledger, Named } from '../ledger/index.ts'

type Policy = Config['sameName']
type NamedEntry = Pick<QueueEntry, 'name' | 'expected' | 'terms'>

/** A file that is to be counted. */
export interface Candidate {
  readonly entry: NamedEntry
  readonly digest: { readonly sha256: Uint8Array }
}

export class NamePolicy {
  readonly #ledger: Pick<Ledger, 'otherContentsOf'>
  readonly #policy: Policy

  constructor(options: { ledger: Pick<Ledger, 'otherContentsOf'>; policy: Policy }) {
    this.#ledger = options.ledger
    this.#policy = options.policy
  }

  get holds(): boolean {
    return this.#policy === 'hold'
  }

  /** Whether it is told of when a name comes again. */
  get tells(): boolean {
    return this.#policy !== 'accept'
  }

  /** Of these files, in the order in which they are recorded, those to be held: why, by their hashes in hex. */
  async toBeHeld(files: readonly Candidate[]): Promise<ReadonlyMap<string, string>> {
    const held = new Map<string, string>()
    if (!this.holds || files.length === 0) return held
    const others = await this.#ledger.otherContentsOf(files.map(named))
    const before = new Map<string, string>()
    for (const { entry, digest } of files) {
      const hash = hexOf(digest.sha256)
      const name = givenName(entry.name, hash)
      const other = others.get(hash)?.toString('hex') ?? before.get(name)
      if (!before.has(name)) before.set(name, hash)
      const { supersedes, parent } = entry.terms ?? {}
      if (other === undefined || other === hash || (supersedes ?? parent) !== undefined) continue
      held.set(hash, `the name ${name} came before with other content, ${other}`)
    }
    return held
  }
}

/** As the ledger is asked for its namesakes. */
export function named({ entry: { name, expected }, digest: { sha256 } }: Candidate): Named {
  return { name, sha256, byHand: expected === undefined }
}
