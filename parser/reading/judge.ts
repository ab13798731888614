import assert from 'node:assert/strict'
import type { Config } from '../../shared/config.ts'
import { crashPoint } from '../../shared/crash-points.ts'
import type { FileIdentity } from '../../shared/file-identity.ts'
import type { Digest } from '../digest/index.ts'
import type { DigestFacts, QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import { changedAfterClaim, objectionTo } from './objection.ts'
import { nothingRead, type Verdict } from './verdict.ts'

/** A file that was read to its end. */
export interface FileRead {
  readonly entry: QueueEntry
  /** undefined: it changed whenever it was read. */
  readonly read: { readonly digest: Digest; readonly identity: FileIdentity } | undefined
  readonly startedAtMs: number
}

/**
 * From what was read to verdicts, and P3: good new contents are claimed in the journal, all of them
 * in one commit, before anybody hears of them.
 */
export class Judge {
  readonly #journal: Journal
  readonly #config: Pick<Config, 'unterminated' | 'rejectLines'>

  constructor(journal: Journal, config: Pick<Config, 'unterminated' | 'rejectLines'>) {
    this.#journal = journal
    this.#config = config
  }

  /** In the order of the files. What is not to be counted is let go of. */
  async judge(files: readonly FileRead[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = []
    const counted: Counted[] = []
    for (const file of files) {
      const verdict = this.#verdictOn(file)
      verdicts.push(verdict)
      const digest = file.read?.digest
      if (verdict.kind === 'count' && digest !== undefined) counted.push({ verdict, digest })
      else await digest?.discard()
    }
    if (counted.length === 0) return verdicts
    const entries = await this.#claim(counted)
    return verdicts.map(verdict =>
      verdict.kind === 'count' ? { ...verdict, entry: entries.shift()! } : verdict,
    )
  }

  #verdictOn({ entry: claimed, read, startedAtMs }: FileRead): Verdict {
    if (read === undefined) {
      const change = `${claimed.sizeBytes} bytes were claimed; it changed twice while it was read`
      const digest = nothingRead(claimed, startedAtMs)
      return { kind: 'quarantine', entry: claimed, digest, ...changedAfterClaim(change) }
    }
    const { digest, identity } = read
    const entry: QueueEntry = { ...claimed, identity }
    const facts: DigestFacts = {
      sha256: digest.sha256,
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      ...(digest.rejected.lines === 0 ? {} : { rejectedLines: digest.rejected.lines }),
      amount: digest.verdict.ok ? digest.verdict.amount : 0n,
      startedAtMs,
      endedAtMs: Date.now(),
    }
    const objection = objectionTo(claimed, read, facts, this.#config)
    if (objection !== undefined || !digest.verdict.ok) {
      assert(objection !== undefined, 'a file with a bad line is objected to')
      return { kind: 'quarantine', entry, digest: facts, ...objection }
    }
    if ((this.#journal.content(digest.sha256)?.applied ?? 0) > 0) {
      return { kind: 'duplicate', entry, digest: facts }
    }
    const { sums, largestSum } = digest.verdict
    return { kind: 'count', entry, digest: facts, sums, largestSum }
  }

  /** The entries as the journal has them now, in the same order. */
  async #claim(counted: readonly Counted[]): Promise<QueueEntry[]> {
    crashPoint('P3-before-digest-journalled')
    const entries = this.#journal.digested(
      counted.map(({ verdict: { entry, digest: facts }, digest: { runName } }) => ({
        ...{ entry, digest: facts, runName },
      })),
    )
    crashPoint('P3-digest-journalled')
    for (const { digest } of counted) await digest.release()
    return entries
  }
}

/** To be counted, once that is in the journal. */
interface Counted {
  readonly verdict: Extract<Verdict, { kind: 'count' }>
  readonly digest: Digest
}
