import { join } from 'node:path'
import type { Config } from '../shared/config.ts'
import { crashPoint } from '../shared/crash-points.ts'
import { describeError, hasCode } from '../shared/errors.ts'
import { Bell, type Handoff } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'
import { type StatePaths, workName } from '../shared/paths.ts'
import type { Digest, DigestWorkers } from './digest/digest.ts'
import { type BadLine, describeBadLine } from './digest/line-defects.ts'
import type { Journal } from './journal/journal.ts'
import type { DigestFacts, QueueEntry } from './journal/records.ts'
import type { PairSource } from './ledger/batch.ts'
import type { Evidence } from './settle.ts'
import { openWorkFile, sameIdentity, type WorkFile } from './work-file.ts'

/** What reading a file has led to; the ledger stage does it. */
export type Verdict =
  | {
      readonly kind: 'count'
      readonly entry: QueueEntry
      readonly digest: DigestFacts
      readonly sums: PairSource
      readonly largestSum: bigint
    }
  | { readonly kind: 'duplicate'; readonly entry: QueueEntry; readonly digest: DigestFacts }
  | {
      readonly kind: 'quarantine'
      readonly entry: QueueEntry
      readonly digest: DigestFacts
      readonly reason: string
      readonly evidence: Evidence
    }

/** What is being read now, for `status`. */
export interface Reading {
  readonly name: string
  readonly positionBytes: number
  readonly sizeBytes: number
}

/**
 * P2 and P3: takes claimed files in the order of their sequences, reads each to its end on one
 * descriptor, and hands the verdict on.
 *
 * Nothing is said about a file before everything is known of it: hash, every line, the control
 * totals that came with it, that it did not change meanwhile, and that its content is new. A crash
 * or a stop before P3 leaves the entry `claimed`, one after it `digested`; both are read again.
 */
export class DigestStage {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #workers: DigestWorkers
  readonly #output: Handoff<Verdict>
  readonly #onProgress: () => void
  readonly #log: Log
  readonly #bell = new Bell()
  #reading: Reading | undefined

  constructor(options: {
    paths: StatePaths
    config: Config
    journal: Journal
    workers: DigestWorkers
    output: Handoff<Verdict>
    onProgress: () => void
    log: Log
  }) {
    this.#paths = options.paths
    this.#config = options.config
    this.#journal = options.journal
    this.#workers = options.workers
    this.#output = options.output
    this.#onProgress = options.onProgress
    this.#log = options.log
  }

  get reading(): Reading | undefined {
    return this.#reading
  }

  /** There are new entries in the journal. */
  wake(): void {
    this.#bell.ring()
  }

  /** The loop; ends when the signal is raised, abandoning the file in hand. */
  async run(signal: AbortSignal): Promise<void> {
    let from = 0
    while (!signal.aborted) {
      const [entry] = this.#journal.queuedFrom(from, 1)
      if (entry === undefined) {
        await this.#bell.wait(signal)
        continue
      }
      from = entry.sequence + 1
      if (entry.stage === 'settling') continue
      try {
        const verdict = await this.#read(entry, signal)
        if (!(await this.#output.put(verdict, signal)) && verdict.kind === 'count') {
          await verdict.sums.close()
        }
      } catch (error) {
        if (!signal.aborted || error !== signal.reason) throw error
        this.#log.info('left in mid-file; it is read again at the next start', { name: entry.name })
      } finally {
        this.#reading = undefined
      }
    }
  }

  async #read(entry: QueueEntry, signal: AbortSignal): Promise<Verdict> {
    const startedAtMs = Date.now()
    let file: WorkFile | undefined
    let reason = 'WORK_FILE_MISSING: somebody took the claimed file out of work/'
    try {
      file = await openWorkFile(join(this.#paths.work, workName(entry.sequence, entry.name)))
    } catch (error) {
      if (!hasCode(error, 'FILE_UNFIT')) throw error
      reason = describeError(error)
    }
    if (file === undefined) {
      return {
        kind: 'quarantine',
        entry,
        digest: nothingRead(entry, startedAtMs),
        reason,
        evidence: {},
      }
    }
    try {
      const digest = await this.#digestUnchanged(entry, file, signal)
      return await this.#judge(entry, digest, startedAtMs)
    } finally {
      await file.handle.close()
    }
  }

  /** undefined: it changed while it was read, twice. */
  async #digestUnchanged(
    entry: QueueEntry,
    file: WorkFile,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    for (let reading = 1; reading <= READINGS_MAX; reading += 1) {
      const before = await file.identity()
      const sizeBytes = Number(before.size)
      this.#reading = { name: entry.name, positionBytes: 0, sizeBytes }
      let digest: Digest | undefined
      try {
        digest = await this.#workers.digest({
          fd: file.handle.fd,
          sizeBytes,
          pairsMax: this.#config.pairsMax,
          signal,
          onProgress: positionBytes => {
            this.#reading = { name: entry.name, positionBytes, sizeBytes }
            this.#onProgress()
          },
        })
      } catch (error) {
        if (!hasCode(error, 'FILE_CHANGED')) throw error
      }
      if (digest !== undefined) {
        if (sameIdentity(before, await file.identity())) return digest
        if (digest.verdict.ok) await digest.verdict.sums.close()
      }
      this.#log.warn('the file changed while it was read', { name: entry.name, reading })
    }
    return undefined
  }

  async #judge(
    entry: QueueEntry,
    digest: Digest | undefined,
    startedAtMs: number,
  ): Promise<Verdict> {
    if (digest === undefined) {
      return {
        kind: 'quarantine',
        entry,
        digest: nothingRead(entry, startedAtMs),
        reason: 'FILE_CHANGED: it changed twice while it was read',
        evidence: {},
      }
    }
    const facts: DigestFacts = {
      sha256: digest.sha256,
      sizeBytes: digest.sizeBytes,
      lines: digest.lines,
      amount: digest.verdict.ok ? digest.verdict.amount : 0n,
      startedAtMs,
      endedAtMs: Date.now(),
    }
    const objection = this.#objectionTo(entry, digest, facts)
    if (objection !== undefined || !digest.verdict.ok) {
      if (digest.verdict.ok) await digest.verdict.sums.close()
      const { reason, evidence } = objection ?? { reason: 'unreadable', evidence: {} }
      return { kind: 'quarantine', entry, digest: facts, reason, evidence }
    }
    const { sums, largestSum } = digest.verdict
    if ((this.#journal.content(digest.sha256)?.applied ?? 0) > 0) {
      await sums.close()
      return { kind: 'duplicate', entry, digest: facts }
    }
    crashPoint('P3-before-digest-journalled')
    const digested = this.#journal.digested(entry, facts)
    crashPoint('P3-digest-journalled')
    this.#onProgress()
    return { kind: 'count', entry: digested, digest: facts, sums, largestSum }
  }

  /** Why the file cannot be counted, most basic first. */
  #objectionTo(
    entry: QueueEntry,
    digest: Digest,
    facts: DigestFacts,
  ): { reason: string; evidence: Evidence } | undefined {
    if (entry.manifestProblem !== undefined) {
      return { reason: `MANIFEST_INVALID: ${entry.manifestProblem}`, evidence: {} }
    }
    const mismatch = mismatchWith(entry, facts, digest.verdict.ok)
    if (mismatch !== undefined) return { reason: `MANIFEST_MISMATCH: ${mismatch}`, evidence: {} }
    if (!digest.verdict.ok) return badLineObjection(digest.verdict.bad)
    const mayBeCut = entry.expected === undefined && !digest.endsWithLineEnd
    if (mayBeCut && this.#config.unterminated === 'quarantine') {
      return {
        reason: `UNTERMINATED: the last line has no line end and no manifest vouches for it: it may be a cut copy (COUNTERSINK_UNTERMINATED=accept counts such files)`,
        evidence: { lines: digest.lines },
      }
    }
    return undefined
  }
}

/** A file that changes is read once more; if it changes again, somebody is still writing it. */
const READINGS_MAX = 2

function mismatchWith(entry: QueueEntry, facts: DigestFacts, isValid: boolean): string | undefined {
  const { expected } = entry
  if (expected === undefined) return undefined
  const found = Buffer.from(facts.sha256).toString('hex')
  if (expected.sizeBytes !== facts.sizeBytes) {
    return `size is ${facts.sizeBytes}, announced were ${expected.sizeBytes}`
  }
  if (expected.sha256 !== found) return `sha256 is ${found}, announced was ${expected.sha256}`
  // Lines and amount of a file with a bad line mean nothing; the bad line is the better reason.
  if (!isValid) return undefined
  if (expected.lines !== undefined && expected.lines !== facts.lines) {
    return `lines are ${facts.lines}, announced were ${expected.lines}`
  }
  if (expected.amount !== undefined && expected.amount !== facts.amount) {
    return `amount is ${facts.amount}, announced was ${expected.amount}`
  }
  return undefined
}

function badLineObjection(bad: BadLine): { reason: string; evidence: Evidence } {
  const bytes = Buffer.from(bad.firstBytes)
  const shown = bytes.toString('latin1').replace(/[^ -~]/g, '·')
  return {
    reason: `${describeBadLine(bad)}: "${shown}"`,
    evidence: {
      code: bad.reason,
      line: bad.line,
      lineOffset: bad.offset,
      byteInLine: bad.column + 1,
      firstBytes: shown,
      firstBytesHex: bytes.toString('hex'),
    },
  }
}

/** The facts of a file that could not be read to its end; its hash is the announced one or zeros. */
function nothingRead(entry: QueueEntry, startedAtMs: number): DigestFacts {
  return {
    sha256: Buffer.from(entry.expected?.sha256 ?? '0'.repeat(64), 'hex'),
    sizeBytes: entry.sizeBytes,
    lines: 0,
    amount: 0n,
    startedAtMs,
    endedAtMs: Date.now(),
  }
}
