/**
 * Batches that an earlier version of the program has begun and not ended. Their sums were in a file of
 * that version; here each of their files is read again, from work/ or the archive, and its sums are
 * recorded. Then the batch goes on like any other (`replan.ts`).
 *
 * Whoever has a file does that, whether it counts or not. A file that is nowhere leaves its batch where
 * it stands; it is looked for again after growing pauses, and nothing else waits for it. A crash leaves
 * what was recorded to its end; of the file in hand it is begun anew.
 */

import type { Config } from '../../shared/config.ts'
import { describeError, hasCode } from '../../shared/errors.ts'
import type { Log } from '../../shared/log.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { Digest, DigestWorkers } from '../digest/index.ts'
import type { Journal } from '../journal/index.ts'
import type { Ledger, LedgerFile, OpenBatch } from '../ledger/index.ts'
import { isShortage, openWorkFile } from '../reading/index.ts'
import { locateFiles } from './located-files.ts'

export class EarlierBatches {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #ledger: Ledger
  readonly #signal: AbortSignal
  readonly #newWorkers: () => DigestWorkers
  readonly #log: Log
  readonly #tries = new Map<string, { count: number; nextMs: number }>()

  constructor(options: {
    paths: StatePaths
    config: Config
    journal: Journal
    ledger: Ledger
    /** Ends the reading of a file. */
    signal: AbortSignal
    /** Threads of its own: those of the readers may be in the middle of a file. */
    newWorkers: () => DigestWorkers
    log: Log
  }) {
    this.#paths = options.paths
    this.#config = options.config
    this.#journal = options.journal
    this.#ledger = options.ledger
    this.#signal = options.signal
    this.#newWorkers = options.newWorkers
    this.#log = options.log
  }

  /** Records what is here and lacks its sums. @throws the signal's reason */
  async record(open: readonly OpenBatch[]): Promise<void> {
    for (const { id, state } of open) {
      const hex = id.toString('hex')
      if (state !== 'unrecorded' || !this.#isDue(hex)) continue
      const rows = (await this.#ledger.filesOf(id)).filter(({ pairs }) => pairs === null)
      if (rows.length === 0) continue
      this.#log.info('an earlier version has begun a batch: its files are read again', {
        ...{ batch: hex, files: rows.length },
      })
      const located = await locateFiles(rows, this.#paths, this.#journal)
      for (const { row, path } of located) await this.#recordOne(row, path)
    }
    const ids = new Set(open.map(({ id }) => id.toString('hex')))
    for (const hex of this.#tries.keys()) if (!ids.has(hex)) this.#tries.delete(hex)
  }

  #isDue(hex: string): boolean {
    const { count, nextMs } = this.#tries.get(hex) ?? { count: 0, nextMs: 0 }
    const now = performance.now()
    if (now < nextMs) return false
    const pauseMs = this.#config.takeoverMs * 2 ** Math.min(count, RETRY_DOUBLINGS_MAX)
    this.#tries.set(hex, { count: count + 1, nextMs: now + pauseMs })
    return true
  }

  async #recordOne(row: LedgerFile, path: string): Promise<void> {
    const workers = this.#newWorkers()
    let digest: Digest | undefined
    try {
      digest = await this.#digest(row, path, workers)
      if (digest?.verdict.ok && row.sha256.equals(digest.sha256)) {
        await this.#ledger.recorder.recordBegun(row, digest.verdict.sums)
      }
    } catch (error) {
      // One that cannot be read is as good as none; where there is no room now, there may be later.
      const isOfFile = hasCode(error, 'FILE_UNFIT', 'FILE_CHANGED', 'DISK_FULL')
      if (!isOfFile && !isShortage(error)) throw error
      this.#log.warn('a file of a batch that has begun cannot be read', {
        ...{ name: row.name, because: describeError(error) },
      })
    } finally {
      await digest?.discard()
      await workers.close()
    }
  }

  /** undefined: it is gone. */
  async #digest(
    row: LedgerFile,
    path: string,
    workers: DigestWorkers,
  ): Promise<Digest | undefined> {
    const file = await openWorkFile(path)
    if (file === undefined) return undefined
    const { pairsMax, memoryPairsMax, checkpointBytes } = this.#config
    try {
      return await workers.digest({
        ...{ fd: file.handle.fd, sizeBytes: file.sizeBytes },
        ...{ pairsMax, memoryPairsMax, checkpointBytes, signal: this.#signal },
        runsDirectory: this.#paths.runs,
        runsPrefix: `again-${row.sha256.toString('hex').slice(0, 32)}`,
      })
    } finally {
      await file.handle.close()
    }
  }
}

const RETRY_DOUBLINGS_MAX = 3
