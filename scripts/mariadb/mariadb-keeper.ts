/**
 * Keeps the private MariaDB running.
 *
 * - **starting** → **running**: it greets. What fails at the first start is the caller's to hear.
 * - **running** → **restarting**: it died. It is started again, after pauses that `Deaths` knows; a
 *   start that fails counts as a death. After too many lately without progress it is **failed**. A
 *   disk that is full, or a data directory that is away, is waited for however long it takes.
 * - any → **stopping** → **stopped**: a start under way comes to its end first, so that what it has
 *   started is stopped in order, too.
 *
 * The parser waits for its database meanwhile, and finds it again by itself.
 */

import type { Socket } from 'node:net'
import { CountersinkError, describeError, toError } from '../../shared/errors.ts'
import { Bell, deferred } from '../../shared/handoff.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { Deaths, type MariadbReport } from '../state/index.ts'
import { type PrivateMariadb, startPrivateMariadb } from './private-mariadb.ts'
import { hasPrivateDatabase } from './service-database.ts'

export class MariadbKeeper {
  readonly #paths: StatePaths
  readonly #poolBytes: number
  readonly #isDiskFull: () => Promise<boolean>
  readonly #onNotice: (text: string) => void
  readonly #onChange: () => void
  readonly #failure = deferred()
  readonly #abort = new AbortController()
  readonly #deaths = new Deaths()
  readonly #untilStopped = new Bell()
  #server: PrivateMariadb | undefined
  #keeping: Promise<void> = Promise.resolve()
  #restarts = 0

  /** Never resolves; rejects when it cannot be kept running. */
  readonly failed = this.#failure.promise

  constructor(options: {
    readonly paths: StatePaths
    /** 0: as fits the machine. */
    readonly poolBytes: number
    /** Whether the disk under it has no room, so that it cannot start. */
    readonly isDiskFull: () => Promise<boolean>
    readonly onNotice: (text: string) => void
    readonly onChange: () => void
  }) {
    this.#paths = options.paths
    this.#poolBytes = options.poolBytes
    this.#isDiskFull = options.isDiskFull
    this.#onNotice = options.onNotice
    this.#onChange = options.onChange
    this.failed.catch(() => {
      // Whoever awaits it is told.
    })
  }

  /** @throws what starting it throws; it is not kept then. */
  async start(): Promise<void> {
    const server = await this.#launch()
    this.#keeping = this.#keep(server).catch(error => this.#failure.reject(toError(error)))
  }

  /** What a child inherits to keep it alive; undefined while it is down. */
  get lifeline(): Socket | undefined {
    const lifeline = this.#server?.lifeline
    return lifeline?.writable ? lifeline : undefined
  }

  get report(): MariadbReport {
    return {
      pid: this.#server?.pid,
      restarts: this.#restarts,
      memoryBytes: this.#server?.memoryBytes,
    }
  }

  /** Something durable was made with it: earlier deaths no longer count. */
  progressed(): void {
    this.#deaths.forget()
  }

  /** @throws CountersinkError CHILD_FAILED if it had to be killed. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await Promise.all([this.#server?.stop(), this.#keeping])
  }

  async #keep(first: PrivateMariadb): Promise<void> {
    const { signal } = this.#abort
    for (let server: PrivateMariadb | undefined = first; !signal.aborted; ) {
      let how = 'could not be started'
      if (server !== undefined) {
        const { code, signal: name } = await server.exited
        this.#server = undefined
        this.#onChange()
        if (signal.aborted) return
        how = `ended (${name ?? `status ${code}`})`
      }
      await this.#untilThere(signal)
      if (signal.aborted) return
      this.#restarts += 1
      const pauseMs = this.#deaths.note() ?? (await this.#pauseOfFullDisk())
      if (pauseMs === undefined) {
        throw new CountersinkError(
          'CHILD_FAILED',
          `MariaDB ${how}, as too often lately without progress between`,
          { advice: `See ${this.#paths.log}/mariadb.log.` },
        )
      }
      this.#onNotice(
        `MariaDB ${how}; it is started again${pauseMs === 0 ? '' : ` in ${pauseMs} ms`}`,
      )
      if (pauseMs > 0) await this.#untilStopped.wait(signal, pauseMs)
      if (signal.aborted) return
      server = await this.#launch().catch((error: unknown) => {
        this.#onNotice(describeError(error))
        return undefined
      })
      if (signal.aborted) await server?.stop()
    }
  }

  /** A start would make an empty database in the place of one that is only away. */
  async #untilThere(signal: AbortSignal): Promise<void> {
    if (hasPrivateDatabase(this.#paths)) return
    this.#onNotice(
      `MariaDB ended, and its directory ${this.#paths.mariadb} is away: put it back, and it is started again; if it is lost, stop and start anew`,
    )
    while (!signal.aborted && !hasPrivateDatabase(this.#paths)) {
      await this.#untilStopped.wait(signal, AWAY_PAUSE_MS)
    }
  }

  async #pauseOfFullDisk(): Promise<number | undefined> {
    return (await this.#isDiskFull()) ? FULL_DISK_PAUSE_MS : undefined
  }

  async #launch(): Promise<PrivateMariadb> {
    const { mariadb, mariadbSocket, mariadbPid, log } = this.#paths
    const server = await startPrivateMariadb({
      dataDir: mariadb,
      socketPath: mariadbSocket,
      pidPath: mariadbPid,
      logPath: `${log}/mariadb.log`,
      poolBytes: this.#poolBytes,
      onNotice: this.#onNotice,
    })
    this.#server = server
    this.#onChange()
    return server
  }
}

const FULL_DISK_PAUSE_MS = 10_000
const AWAY_PAUSE_MS = 500
