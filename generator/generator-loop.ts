import type { Config } from '../shared/config.ts'
import { crashPoint } from '../shared/crash-points.ts'
import { hasCode, systemReason, toError } from '../shared/errors.ts'
import type { Bell } from '../shared/handoff.ts'
import type { Service } from '../shared/lifecycle.ts'
import type { Publication } from '../shared/manifest.ts'
import type { StatePaths } from '../shared/paths.ts'
import { freeRoom } from '../shared/room.ts'
import { reasonToWait, unsettledReason } from './backpressure.ts'
import { usedAtOf } from './calendar.ts'
import type { HealthServer } from './health.ts'
import type { Leftovers } from './leftovers.ts'
import {
  type FileMaker,
  type FileRecipe,
  fileSizeBytes,
  type RecordOptions,
} from './making/index.ts'
import { generatedName } from './names.ts'
import { directoriesTrouble } from './own-directories.ts'
import { Pacer } from './pacing.ts'
import type { Progress } from './progress.ts'
import type { Announcer } from './publishing/index.ts'
import type { Spool } from './spool.ts'
import { standsInTmp } from './state.ts'
import type { PendingFile } from './state-shape.ts'
import type { Status } from './status.ts'

/** How often the disk is asked for room while it has none; settled files end the wait earlier. */
const ROOM_POLL_MS = 500

/** What the loop works with. It ends announcer, health server and maker when it is stopped. */
export interface LoopParts {
  readonly paths: StatePaths
  readonly config: Config
  readonly status: Status
  readonly announcer: Announcer
  readonly health: HealthServer
  readonly progress: Progress
  readonly spool: Spool
  readonly leftovers: Leftovers
  readonly maker: FileMaker
  /** Rings when there may be more room: a file was settled, or the connection came or went. */
  readonly changed: Bell
}

/**
 * Makes files and publishes them, one after another, as long as parser and disk have room, until as
 * many as wanted are settled. `Status` names its states, `Progress` and `Spool` the durable steps.
 */
export class GeneratorLoop implements Service {
  readonly finished: Promise<void>
  readonly #parts: LoopParts
  readonly #abort = new AbortController()
  readonly #pacer: Pacer | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: LoopParts) {
    this.#parts = parts
    const { rateBytes } = parts.config
    this.#pacer = rateBytes === 0 ? undefined : new Pacer(rateBytes)
    this.finished = this.#work()
  }

  /** Abandons the file that is being written; one that is being published is finished first. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  async #end(): Promise<void> {
    const { status, announcer, health, maker } = this.#parts
    status.stop()
    this.#abort.abort()
    await this.finished.catch(() => {
      // Whoever waits for `finished` gets the error.
    })
    announcer.stop()
    await maker.close()
    await health.close()
  }

  get #stopped(): boolean {
    return this.#abort.signal.aborted
  }

  async #work(): Promise<void> {
    while (!this.#stopped && this.#filesWanted() > 0) await this.#nextFile()
    if (!this.#stopped) await this.#drain()
  }

  #filesWanted(): number {
    const { config, progress } = this.#parts
    if (config.files === 0) return Number.POSITIVE_INFINITY
    return config.files - (progress.state.run?.published ?? 0)
  }

  /** Waits for room, then makes one file and publishes it; returns early when stopped. */
  async #nextFile(): Promise<void> {
    const { config, status, progress, announcer } = this.#parts
    const { seed, stream, calendarEndMs, nextNumber } = progress.state
    const name = generatedName(stream, nextNumber)
    const recipe: FileRecipe = { ...recordOptions(config), seed, number: nextNumber }
    const sizeBytes = fileSizeBytes(recipe)
    await this.#waitForRoom(sizeBytes)
    if (this.#stopped) return
    status.write(name, sizeBytes)
    const made = await this.#writeFile(name, recipe)
    if (made === undefined) return
    const { days } = config
    const usedAtMs = usedAtOf({ seed, number: nextNumber, days, endMs: calendarEndMs })
    const file: PendingFile = { ...made, ...(days === 0 ? {} : { usedAtMs }) }
    await progress.prepared(file)
    crashPoint('G1-state-written')
    const publication = await this.#publish(file)
    if (publication === undefined) return
    announcer.announce({ ...file, ...publication })
    await progress.counted()
    status.published(file)
  }

  /** undefined: stopped, or the disk was full before the end; nothing is left of it then. */
  async #writeFile(name: string, recipe: FileRecipe): Promise<PendingFile | undefined> {
    const { paths, status, spool, changed } = this.#parts
    try {
      return await spool.write(name, recipe, {
        signal: this.#abort.signal,
        pacer: this.#pacer,
        onProgress: positionBytes => status.written(positionBytes),
      })
    } catch (error) {
      if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error
      status.wait({ kind: 'disk', text: `waiting: no space left in ${paths.generatorTmp}` })
      await changed.wait(this.#abort.signal, ROOM_POLL_MS)
      return undefined
    }
  }

  /** undefined: stopped before it could be; it is pending, and the next start publishes it. */
  async #publish(file: PendingFile): Promise<Publication | undefined> {
    const { paths, status, spool, changed } = this.#parts
    for (;;) {
      try {
        return await spool.publish(file)
      } catch (error) {
        const trouble = await directoriesTrouble(paths)
        // Not by the directories: what fails is this file, or it is not there any more.
        if (trouble === undefined && !(await standsInTmp(paths, file))) throw error
        if (!isOfDirectories(error)) throw error
        const why = trouble ?? systemReason(error)
        status.wait({ kind: 'directories', text: `waiting to publish ${file.name}: ${why}` })
        await changed.wait(this.#abort.signal, ROOM_POLL_MS)
        if (this.#stopped) return undefined
      }
    }
  }

  async #waitForRoom(nextBytes: number): Promise<void> {
    const { paths, config, status, announcer, changed } = this.#parts
    while (!this.#stopped) {
      const trouble = await directoriesTrouble(paths)
      if (trouble !== undefined) {
        status.wait({ kind: 'directories', text: `waiting: ${trouble}` })
        await changed.wait(this.#abort.signal, ROOM_POLL_MS)
        continue
      }
      await this.#announceLeftovers()
      const reason = reasonToWait(
        {
          unsettledFiles: announcer.files,
          unsettledBytes: announcer.bytes,
          connected: announcer.connected,
          ...(await freeRoom(paths.inbox)),
          nextBytes,
          directory: paths.inbox,
        },
        config,
      )
      if (reason === undefined) return
      status.wait(reason)
      await changed.wait(this.#abort.signal, ROOM_POLL_MS)
    }
  }

  async #drain(): Promise<void> {
    const { status, announcer, changed } = this.#parts
    while (!this.#stopped) {
      await this.#announceLeftovers()
      if (announcer.files === 0) return
      status.drain(
        unsettledReason({
          unsettledFiles: announcer.files,
          unsettledBytes: announcer.bytes,
          connected: announcer.connected,
        }),
      )
      await changed.wait(this.#abort.signal, ROOM_POLL_MS)
    }
  }

  /** Files of an earlier life come before new ones, within the same limits. */
  async #announceLeftovers(): Promise<void> {
    const { config, announcer, leftovers } = this.#parts
    while (
      leftovers.remaining > 0 &&
      announcer.files < config.backlogFilesMax &&
      announcer.bytes < config.backlogBytesMax
    ) {
      const file = await leftovers.take()
      if (file !== undefined) announcer.announce(file)
    }
  }
}

/** What others do to directories, and may undo; a failed sync is another matter. */
function isOfDirectories(error: unknown): boolean {
  const cause = toError(error).cause
  const codes = ['EACCES', 'EPERM', 'EROFS', 'EXDEV', 'ENOENT', 'ENOTDIR', 'ENOSPC', 'EDQUOT']
  return hasCode(cause, ...codes)
}

function recordOptions({ fileSize, consumers, distribution }: Config): RecordOptions {
  return { fileSize, consumers, distribution }
}
