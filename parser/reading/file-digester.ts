/**
 * One claimed file at a time: opened once, and hashed and summed to its end on that descriptor, with
 * threads and memory of its own. It goes on from the last checkpoint that the journal has, and hands
 * it each new one.
 */

import { join } from 'node:path'
import type { Config } from '../../shared/config.ts'
import { hasCode } from '../../shared/errors.ts'
import type { ParserEvents } from '../../shared/events.ts'
import type { FileIdentity } from '../../shared/file-identity.ts'
import type { Log } from '../../shared/log.ts'
import { rejectDraftName, type StatePaths, workName } from '../../shared/paths.ts'
import { mayReject } from '../../shared/reject-limit.ts'
import { type Digest, type DigestOptions, DigestWorkers } from '../digest/index.ts'
import type { QueueEntry } from '../facts.ts'
import type { Journal } from '../journal/index.ts'
import type { OwnDirectories } from '../own-directories.ts'
import { rejectLimitOf } from './reject-limit-of.ts'
import { openWorkFile, sameIdentity, type WorkFile } from './work-file.ts'

/** A file that changes is read once more; if it changes again, somebody is still writing it. */
const READINGS_MAX = 2

/** What is being read now, for `status`. */
export interface Reading {
  readonly name: string
  readonly positionBytes: number
  readonly sizeBytes: number
  /** The sums of what stands before were taken from a checkpoint; it is only hashed again. */
  readonly resumedFromBytes: number
}

/** What was read, and which file that was. */
export interface DigestedFile {
  readonly digest: Digest
  readonly identity: FileIdentity
}

export interface FileDigesterOptions {
  readonly paths: StatePaths
  readonly config: Config
  readonly journal: Journal
  readonly events: ParserEvents
  readonly directories: OwnDirectories
  readonly log: Log
  /** What the sums of its files may take in memory. */
  readonly sumBytesMax: number
}

export class FileDigester {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #journal: Journal
  readonly #events: ParserEvents
  readonly #directories: OwnDirectories
  readonly #log: Log
  readonly #workers: DigestWorkers
  #reading: Reading | undefined

  constructor(options: FileDigesterOptions) {
    const { config, sumBytesMax } = options
    this.#paths = options.paths
    this.#config = config
    this.#journal = options.journal
    this.#events = options.events
    this.#directories = options.directories
    this.#log = options.log
    this.#workers = new DigestWorkers({ sumThreads: config.sumThreads, sumBytesMax })
  }

  /** Also after the end of a file, until `done`. */
  get reading(): Reading | undefined {
    return this.#reading
  }

  done(): void {
    this.#reading = undefined
  }

  /** Ends its threads. */
  close(): Promise<void> {
    return this.#workers.close()
  }

  /** undefined: it is not in work/, which is what it was. */
  async open(entry: QueueEntry, signal: AbortSignal): Promise<WorkFile | undefined> {
    const path = workPath(this.#paths, entry)
    const file = await openWorkFile(path)
    if (file !== undefined) return file
    await this.#directories.ready(signal)
    return openWorkFile(path)
  }

  /** undefined: it changed while it was read, twice. */
  async digest(
    entry: QueueEntry,
    file: WorkFile,
    signal: AbortSignal,
  ): Promise<DigestedFile | undefined> {
    for (let reading = 1; reading <= READINGS_MAX; reading += 1) {
      const identity = await file.identity()
      const digest = await this.#digestOnce(entry, file.handle.fd, Number(identity.size), signal)
      if (digest !== undefined) {
        if (sameIdentity(identity, await file.identity())) return { digest, identity }
        await digest.discard()
      }
      this.#log.warn('the file changed while it was read', {
        ...{ name: entry.name, code: 'FILE_CHANGED', reading },
      })
    }
    return undefined
  }

  /** How its bad lines are put aside; undefined: none may be. */
  #rejectsOf(entry: QueueEntry): DigestOptions['rejects'] {
    const limit = rejectLimitOf(entry, this.#config)
    if (!mayReject(limit)) return undefined
    const { name, sequence } = entry
    return { limit, name, draftPath: join(this.#paths.rejects, rejectDraftName(sequence)) }
  }

  /** undefined: it became shorter while it was read. */
  async #digestOnce(
    entry: QueueEntry,
    fd: number,
    sizeBytes: number,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const { name, sequence } = entry
    const resume = this.#journal.queued(sequence)?.checkpoint
    const resumedFromBytes = resume?.resumeBytes ?? 0
    this.#reading = { name, positionBytes: 0, sizeBytes, resumedFromBytes }
    if (resume !== undefined) {
      this.#log.info('goes on from a checkpoint', { name, resumedFromBytes, sizeBytes })
    }
    try {
      const digest = await this.#workers.digest({
        ...{ fd, sizeBytes, signal },
        pairsMax: this.#config.pairsMax,
        memoryPairsMax: this.#config.memoryPairsMax,
        checkpointBytes: this.#config.checkpointBytes,
        runsDirectory: this.#paths.runs,
        runsPrefix: workName(sequence, 'sums'),
        rejects: this.#rejectsOf(entry),
        ...(resume === undefined ? {} : { resume }),
        onCheckpoint: checkpoint => {
          this.#journal.checkpoint(sequence, checkpoint)
          const { positionBytes } = checkpoint
          this.#events.emit('checkpointed', { name, sequence, positionBytes })
        },
        onProgress: positionBytes => {
          this.#reading = { name, positionBytes, sizeBytes, resumedFromBytes }
          this.#events.emit('reading', { name, positionBytes, sizeBytes })
        },
      })
      if (digest.checkpointDropped !== undefined) {
        this.#log.warn('a checkpoint was dropped', {
          ...{ name, code: 'CHECKPOINT_DROPPED', because: digest.checkpointDropped },
        })
      }
      return digest
    } catch (error) {
      if (hasCode(error, 'FILE_CHANGED')) return undefined
      throw error
    }
  }
}

export function workPath({ work }: StatePaths, { sequence, name }: QueueEntry): string {
  return join(work, workName(sequence, name))
}
