import type { Channel } from '../shared/channel.ts'
import type { Config } from '../shared/config.ts'
import { makeDirectories, replaceFile } from '../shared/durable.ts'
import { CountersinkError, describeError, toError } from '../shared/errors.ts'
import { deferred } from '../shared/handoff.ts'
import type { KernelLock } from '../shared/kernel-lock.ts'
import { processIdentity } from '../shared/lifecycle.ts'
import type { StatePaths } from '../shared/paths.ts'
import type { GeneratorHealth, ParserHealth } from '../shared/protocol.ts'
import { childCommand } from './child-command.ts'
import { HealthWatch } from './health-watch.ts'
import { ManagedProcess, type ProcessReport } from './managed-process.ts'
import { type PrivateMariadb, startPrivateMariadb } from './private-mariadb.ts'
import { takeStateLock } from './state-lock.ts'

/**
 * Keeps MariaDB (unless it is yours), the parser and the generator running on one state directory.
 *
 * - **starting**: takes the state lock, starts MariaDB, then the parser, then the generator, each
 *   when the one before is ready.
 * - **running**: pings both sockets, restarts what dies or hangs.
 * - **draining** (only with a number of files): the generator has ended by itself; when the
 *   parser's queue is empty, `drained` resolves.
 * - **stopping**: generator, parser, MariaDB, in this order, each drained; then the lock is freed.
 *
 * `failed` rejects when a child cannot be kept alive. Killed itself, it leaves nothing running: the
 * children see their pipe end, and MariaDB goes when nobody holds its lifeline any more.
 */
export interface SupervisorOptions {
  readonly paths: StatePaths
  readonly config: Config
  /** For the children: the configuration as environment variables. */
  readonly env: NodeJS.ProcessEnv
  readonly withGenerator: boolean
  /** Something the person at the terminal should know. */
  readonly onNotice: (text: string) => void
}

/** What `run/supervisor.json` says; `status` and `ping` read it. */
export interface SupervisorStatus {
  readonly pid: number
  readonly startTime: string
  readonly startedAtMs: number
  readonly state: Supervisor['state']
  readonly withGenerator: boolean
  readonly parser: ProcessReport | undefined
  readonly generator: ProcessReport | undefined
  readonly mariadb: { readonly pid: number | undefined; readonly restarts: number } | undefined
}

const CHILD_STOP_TIMEOUT_MS = { generator: 20_000, parser: 120_000 }
const MARIADB_RESTARTS_MAX = 5

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #failure = deferred()
  readonly #drained = deferred()
  readonly #stopRequested = deferred()
  readonly #startedAtMs = Date.now()
  state: 'starting' | 'running' | 'draining' | 'stopping' | 'stopped' = 'starting'
  #lock: KernelLock | undefined
  #mariadb: PrivateMariadb | undefined
  #mariadbRestarts = 0
  #parser: ManagedProcess | undefined
  #generator: ManagedProcess | undefined
  #watches: HealthWatch[] = []
  #writing: Promise<void> = Promise.resolve()
  #starting: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined

  /** Never resolves; rejects when a child cannot be kept alive. */
  readonly failed = this.#failure.promise
  /** Resolves when the generator has ended by itself and the parser has nothing left to do. */
  readonly drained = this.#drained.promise

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.failed.catch(() => {
      // Whoever awaits it is told.
    })
  }

  /**
   * Comes back early when it is stopped meanwhile.
   *
   * @throws CountersinkError STATE_DIRECTORY_IN_USE, DATABASE_PROGRAM_MISSING, …
   */
  start(): Promise<void> {
    this.#starting = this.#startAll()
    return this.#starting
  }

  async #startAll(): Promise<void> {
    const { paths, config, onNotice } = this.#options
    await makeDirectories(paths.dir, paths.run, paths.log)
    this.#lock = await takeStateLock(paths.supervisorLock, paths.supervisorStatus)
    this.#changed()
    if (config.databaseUrl === '' && !this.#isStopping) await this.#startMariadb()
    if (this.#isStopping) return
    this.#parser = this.#startChild('parser')
    await this.#untilReady(this.#parser, paths.parserSocket)
    if (this.#isStopping) return
    if (!this.#options.withGenerator) {
      this.#enter('running')
      return
    }
    this.#generator = this.#startChild('generator')
    this.#generator.ended.then(
      () => this.#generatorEnded(),
      error => this.#failure.reject(error),
    )
    await this.#untilReady(this.#generator, paths.generatorSocket)
    if (this.state === 'starting') this.#enter('running')
    if (config.files === 0) onNotice('running; Ctrl-C stops everything in order')
  }

  get #isStopping(): boolean {
    return this.#stopping !== undefined
  }

  /** In order, everything drained, except MariaDB: for a last look at it. Repeatable. */
  async stopChildren(): Promise<void> {
    if (this.state !== 'draining') this.#enter('stopping')
    await this.#generator?.stop()
    await this.#parser?.stop()
    for (const watch of this.#watches.splice(0)) await watch.stop()
  }

  /** Everything, in order; repeatable, all callers share one outcome. */
  stop(): Promise<void> {
    this.#stopRequested.resolve()
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  /** At once: on a second Ctrl-C. What is durable stays so. */
  abandon(): void {
    this.#generator?.abandon()
    this.#parser?.abandon()
  }

  async #stopAll(): Promise<void> {
    this.#enter('stopping')
    await this.#starting.catch(() => {
      // Whoever started us is told; what was started until then is stopped here.
    })
    const failures: Error[] = []
    for (const step of [() => this.stopChildren(), async () => this.#mariadb?.stop()]) {
      await step().catch(error => failures.push(toError(error)))
    }
    this.#enter('stopped')
    await this.#writing
    this.#lock?.release()
    const [first] = failures
    if (first !== undefined) throw first
  }

  async #startMariadb(): Promise<void> {
    const { paths, onNotice } = this.#options
    const server = await startPrivateMariadb({
      dataDir: paths.mariadb,
      socketPath: paths.mariadbSocket,
      pidPath: paths.mariadbPid,
      logPath: `${paths.log}/mariadb.log`,
      onNotice,
    })
    this.#mariadb = server
    this.#changed()
    void server.exited.then(({ code, signal }) => {
      if (this.state === 'stopping' || this.state === 'stopped') return
      this.#mariadbRestarts += 1
      const how = signal ?? `status ${code}`
      if (this.#mariadbRestarts > MARIADB_RESTARTS_MAX) {
        this.#failure.reject(
          new CountersinkError('CHILD_FAILED', `MariaDB ended again and again (${how})`, {
            advice: `See ${paths.log}/mariadb.log.`,
          }),
        )
        return
      }
      onNotice(`MariaDB ended (${how}); it is started again`)
      this.#startMariadb().catch(error => this.#failure.reject(toError(error)))
    })
  }

  #startChild(name: 'parser' | 'generator'): ManagedProcess {
    const { paths, env, onNotice } = this.#options
    return new ManagedProcess({
      name,
      command: [...childCommand(name, paths), '--supervised'],
      env,
      logPath: `${paths.log}/${name}.log`,
      // The parser's hold on MariaDB: it may still have a batch to finish when we are killed.
      inherit: () =>
        name === 'parser' && this.#mariadb !== undefined ? [this.#mariadb.lifeline] : [],
      stopTimeoutMs: CHILD_STOP_TIMEOUT_MS[name],
      onTrouble: onNotice,
      onChange: () => this.#changed(),
    })
  }

  async #untilReady(child: ManagedProcess, socketPath: string): Promise<void> {
    const answered = deferred()
    const watch = new HealthWatch(child, socketPath, health => {
      answered.resolve()
      if (health.role === 'parser') this.#checkDrained(health)
    })
    this.#watches.push(watch)
    if (child.name === 'parser') {
      child.ended.then(
        () => {},
        error => this.#failure.reject(error),
      )
    }
    await Promise.race([answered.promise, child.ended, this.#stopRequested.promise])
  }

  #generatorEnded(): void {
    if (this.state === 'stopping' || this.state === 'stopped') return
    this.#enter('draining')
  }

  #checkDrained(health: ParserHealth): void {
    if (this.state === 'draining' && health.queue.files === 0) this.#drained.resolve()
  }

  #enter(state: Supervisor['state']): void {
    if (this.state === 'stopped') return
    this.state = state
    this.#changed()
  }

  /** Writes the status file; the last change wins, writes never overlap. */
  #changed(): void {
    if (this.#lock === undefined) return
    this.#writing = this.#writing
      .then(() =>
        replaceFile(this.#options.paths.supervisorStatus, `${JSON.stringify(this.status)}\n`),
      )
      .catch(error => this.#options.onNotice(describeError(error)))
  }

  get status(): SupervisorStatus {
    return {
      pid: process.pid,
      startTime: processIdentity(process.pid)?.startTime ?? '',
      startedAtMs: this.#startedAtMs,
      state: this.state,
      withGenerator: this.#options.withGenerator,
      parser: this.#parser?.report,
      generator: this.#generator?.report,
      mariadb:
        this.#options.config.databaseUrl === ''
          ? { pid: this.#mariadb?.pid, restarts: this.#mariadbRestarts }
          : undefined,
    }
  }

  /** The last pongs, for the display. */
  get health(): { parser?: ParserHealth; generator?: GeneratorHealth } {
    const found: { parser?: ParserHealth; generator?: GeneratorHealth } = {}
    for (const { health } of this.#watches) {
      if (health?.role === 'parser') found.parser = health
      if (health?.role === 'generator') found.generator = health
    }
    return found
  }

  /** The way to ask the parser something, while it answers. */
  get parserChannel(): Channel | undefined {
    return this.#watches.find(watch => watch.health?.role === 'parser')?.channel
  }
}
