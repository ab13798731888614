/**
 * Finishes batches that have begun and not ended.
 *
 * At the start: each that has its run file here, whoever began it (with the run in this directory it
 * was us, under this or an earlier name); then each of our own from exactly its files, read again
 * from work/ or the archive and merged: the result must have the pairs and the amount that the
 * ledger planned. If neither is there, or there is no room to make them, the batch is **blocked**: said
 * loudly and in `status`, never skipped; the totals are those up to its cursor.
 *
 * While running: a blocked batch is tried again now and then, first after `takeoverMs`, then after
 * twice as long each time, up to `RETRY_DOUBLINGS_MAX` doublings: each try may read a whole run, or
 * files. And a batch of another parser that stands still for `takeoverMs` although all of its
 * files are here is taken over. Two at work on one batch cannot both move its cursor: one ends.
 */

import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { CountersinkError, describeError, hasCode } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import { isThere } from '../../shared/looks.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { DigestWorkers } from '../digest/index.ts'
import { reasonText } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import {
  type BatchFile,
  fromSqlTime,
  type Ledger,
  type LedgerFile,
  type LedgerResult,
  type OpenBatch,
} from '../ledger/index.ts'
import { openWorkFile } from '../reading/index.ts'
import { RunSums, type Sums } from '../sums/index.ts'
import { locateFiles } from './batch-files.ts'
import { type BatchMaker, batchRunName } from './batch-maker.ts'

export class BatchResumer {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #maker: BatchMaker
  readonly #newWorkers: () => DigestWorkers
  readonly #log: Log
  readonly #watched = new Map<string, { cursorId: bigint | null; sinceMs: number }>()
  readonly #blocked = new Map<string, Blocked>()

  constructor(options: {
    paths: StatePaths
    config: Config
    journal: Journal
    ledger: Ledger
    maker: BatchMaker
    /** A pair of its own: the stages' pair may be in the middle of a file. */
    newWorkers: () => DigestWorkers
    log: Log
  }) {
    this.#paths = options.paths
    this.#config = options.config
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#maker = options.maker
    this.#newWorkers = options.newWorkers
    this.#log = options.log
  }

  /** Why batches stand still that only a person can help, for `status`. */
  get reason(): string | undefined {
    const [first] = this.#blocked
    if (first === undefined) return undefined
    const [id, { reason: why }] = first
    const others = this.#blocked.size > 1 ? ` (and ${this.#blocked.size - 1} more)` : ''
    return `batch ${id} is blocked: ${why}${others}`
  }

  /** Whether `retryBlocked` may have something to do. */
  get hasBlocked(): boolean {
    return this.#blocked.size > 0
  }

  /** A batch has turned out to be blocked, just now or once more. */
  noteBlocked(id: Uint8Array, reason: string): void {
    const hex = Buffer.from(id).toString('hex')
    const before = this.#blocked.get(hex)
    const tries = (before?.tries ?? 0) + 1
    const pauseMs = this.#config.takeoverMs * 2 ** Math.min(tries - 1, RETRY_DOUBLINGS_MAX)
    this.#blocked.set(hex, { reason, tries, retryAtMs: performance.now() + pauseMs })
    if (before?.reason === reason) return
    this.#log.error('a batch cannot be finished; its totals are incomplete', {
      ...{ code: 'BATCH_BLOCKED', batch: hex },
      reason,
    })
  }

  /** @returns the names of runs that open batches still need. */
  async resumeAll(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const needed = new Set<string>()
    for (const batch of await this.#ledger.openBatches()) {
      const name = batchRunName(batch.id)
      const hasRun = isThere(join(this.#paths.runs, name))
      if (!hasRun && !this.#ledger.isFromThisParser(batch)) continue
      if (!(await this.#finish(batch, signal))) needed.add(name)
    }
    return needed
  }

  /** Tries the blocked batches again whose time has come. @throws the signal's reason */
  async retryBlocked(signal: AbortSignal): Promise<void> {
    const isDue = (hex: string): boolean =>
      performance.now() >= (this.#blocked.get(hex)?.retryAtMs ?? Number.POSITIVE_INFINITY)
    if (![...this.#blocked.keys()].some(isDue)) return
    const open = new Map(
      (await this.#ledger.openBatches()).map(batch => [batch.id.toString('hex'), batch]),
    )
    for (const hex of [...this.#blocked.keys()].filter(isDue)) {
      signal.throwIfAborted()
      const batch = open.get(hex)
      // Somebody else has finished it.
      if (batch === undefined) this.#blocked.delete(hex)
      else await this.#finish(batch, signal)
    }
  }

  /** Another parser's batch holds up a content that is here. */
  async takeOverIfStalled(batchId: Uint8Array, signal: AbortSignal): Promise<void> {
    const hex = Buffer.from(batchId).toString('hex')
    const batch = (await this.#ledger.openBatches()).find(one => one.id.equals(batchId))
    if (batch === undefined || this.#blocked.has(hex)) return
    const seen = this.#watched.get(hex)
    if (seen === undefined || seen.cursorId !== batch.cursorId) {
      this.#watched.set(hex, { cursorId: batch.cursorId, sinceMs: performance.now() })
      return
    }
    if (performance.now() - seen.sinceMs < this.#config.takeoverMs) return
    this.#watched.delete(hex)
    this.#log.warn("another parser's batch stands still; it is finished here", { batch: hex })
    await this.#finish(batch, signal)
  }

  /** false: it is blocked. */
  async #finish(batch: OpenBatch, signal: AbortSignal): Promise<boolean> {
    const rows = await this.#ledger.filesOf(batch.id)
    const files = rows.map(batchFileOf)
    let sums: Sums | undefined
    try {
      sums =
        (await this.#fromRun(batch, rows, signal)) ?? (await this.#fromFiles(batch, rows, signal))
    } catch (error) {
      if (!hasCode(error, 'DISK_FULL')) throw error
      // Tried again after growing pauses, and others go on meanwhile.
      this.noteBlocked(batch.id, describeError(error))
      return false
    }
    if (sums === undefined) {
      const isOurs = this.#ledger.isFromThisParser(batch)
      if (isOurs) await this.#ledger.block(batch.id)
      this.noteBlocked(
        batch.id,
        `neither its sums nor all of its files are here (${rows.map(row => row.name).join(', ')})`,
      )
      return false
    }
    const amount = BigInt(batch.amountPlanned)
    const whole = { id: batch.id, files, sums, amount }
    try {
      const result = await this.#ledger.apply(whole, true)
      if (result.kind === 'applied') {
        this.#log.info('finished a batch that was begun before', {
          batch: batch.id.toString('hex'),
          files: files.length,
        })
        this.#blocked.delete(batch.id.toString('hex'))
        await this.#maker.release(whole)
        return true
      }
      this.noteBlocked(batch.id, whyNotFinished(result))
      return false
    } finally {
      await sums.close()
    }
  }

  async #fromRun(
    batch: OpenBatch,
    rows: readonly LedgerFile[],
    signal: AbortSignal,
  ): Promise<Sums | undefined> {
    try {
      const path = join(this.#paths.runs, batchRunName(batch.id))
      const sums = await RunSums.openVerified(path, signal)
      const { owner, members, pairs, amount } = sums.facts
      const isIt =
        owner === batch.id.toString('hex') &&
        BigInt(pairs) === batch.pairsPlanned &&
        amount === BigInt(batch.amountPlanned) &&
        members.length === rows.length
      if (isIt) return sums
      await sums.close()
      this.#log.warn('a run is not that of the batch it is named after', { owner })
    } catch (error) {
      if (!hasCode(error, 'RUN_UNREADABLE')) throw error
      this.#log.info('a batch has no usable run: its files are read again', {
        batch: batch.id.toString('hex'),
        because: describeError(error),
      })
    }
    return undefined
  }

  /** The batch's sums made anew from its very files; undefined when one is not here. */
  async #fromFiles(
    batch: OpenBatch,
    rows: readonly LedgerFile[],
    signal: AbortSignal,
  ): Promise<Sums | undefined> {
    const found = await locateFiles(rows, this.#paths, this.#journal)
    if (found.length < rows.length || rows.length === 0) return undefined
    const workers = this.#newWorkers()
    const files: BatchFile[] = []
    try {
      for (const [i, row] of rows.entries()) {
        const sums = await this.#digestExactly(row, found[i]!.path, workers, signal).catch(
          error => {
            // One that cannot be read is as good as none.
            if (!hasCode(error, 'FILE_UNFIT')) throw error
          },
        )
        if (sums === undefined) return undefined
        files.push({ ...batchFileOf(row), sums })
      }
      const whole = await this.#maker.make(files, signal, batch.id)
      const isIt =
        whole.files.length === rows.length &&
        BigInt(whole.sums.pairs) === batch.pairsPlanned &&
        whole.amount === BigInt(batch.amountPlanned)
      if (!isIt) {
        await this.#maker.release(whole)
        return undefined
      }
      try {
        await this.#ledger.takeOver(
          batch.id,
          found.flatMap(({ workSequence }, i) =>
            workSequence === undefined ? [] : [{ sha256: rows[i]!.sha256, workSequence }],
          ),
        )
      } catch (error) {
        await this.#maker.setAside(whole)
        throw error
      }
      // Of a single small file the batch's sums are the file's own: they must stay open.
      if (files[0]?.sums === whole.sums) files.length = 0
      return whole.sums
    } finally {
      for (const file of files) await file.sums.close()
      await workers.close()
    }
  }

  async #digestExactly(
    row: LedgerFile,
    path: string,
    workers: DigestWorkers,
    signal: AbortSignal,
  ): Promise<Sums | undefined> {
    const file = await openWorkFile(path)
    if (file === undefined) return undefined
    try {
      const digest = await workers.digest({
        fd: file.handle.fd,
        sizeBytes: file.sizeBytes,
        pairsMax: this.#config.pairsMax,
        memoryPairsMax: this.#config.memoryPairsMax,
        checkpointBytes: this.#config.checkpointBytes,
        runsDirectory: this.#paths.runs,
        runsPrefix: `again-${row.sha256.toString('hex').slice(0, 32)}`,
        signal,
      })
      if (digest.verdict.ok && row.sha256.equals(digest.sha256)) {
        // It stays readable through its open descriptor, and nothing is left of it afterwards.
        await digest.release()
        await this.#maker.discardRun(digest.runName)
        return digest.verdict.sums
      }
      await digest.discard()
      return undefined
    } finally {
      await file.handle.close()
    }
  }
}

/** A batch that stands still until somebody helps. */
interface Blocked {
  readonly reason: string
  readonly tries: number
  /** By the clock of `performance.now`. */
  readonly retryAtMs: number
}

const RETRY_DOUBLINGS_MAX = 3

function whyNotFinished(result: Exclude<LedgerResult, { kind: 'applied' }>): string {
  if (result.kind === 'claimed') return 'its files are in another batch'
  return typeof result.reason === 'string' ? result.reason : reasonText(result.reason)
}

/** A member as its row tells it. Its own sums are not needed once the batch has begun. */
function batchFileOf(row: LedgerFile): BatchFile {
  return {
    sha256: row.sha256,
    workSequence: Number(row.workSequence),
    name: row.name,
    sizeBytes: Number(row.sizeBytes),
    lines: Number(row.lines),
    amount: BigInt(row.amount),
    largestSum: row.largestSum,
    claimedAtMs: fromSqlTime(row.claimedAt),
    digestedAtMs: fromSqlTime(row.digestedAt),
    sums: NO_SUMS,
  }
}

const NO_SUMS: Sums = {
  pairs: 0,
  chunks() {
    throw new CountersinkError(
      'DATABASE_FAILED',
      'a begun batch was asked for the sums of one file',
    )
  },
  find: async () => undefined,
  close: async () => {},
}
