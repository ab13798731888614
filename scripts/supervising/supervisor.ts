/**
 * Keeps MariaDB (unless it is yours), the parser and the generator running on one state directory.
 * Its states are in `supervisor-states.ts`.
 *
 * It takes the state lock and starts MariaDB, the parser and the generator, each when the one before
 * is ready. It pings both sockets, restarts what dies or hangs, and looks whether its lock still is the
 * one that keeps others out. With a number of files, `drained` resolves when the generator has ended
 * by itself and the parser's queue is empty. It stops generator, parser and MariaDB in this order, each
 * drained; then the lock is freed.
 *
 * `failed` rejects when a child cannot be kept alive, the lock is another's, or something of ours
 * fails. Killed itself, it leaves nothing running: the children see their pipe end, and MariaDB goes
 * when nobody holds its lifeline any more. What needs a person it tells `Alerts` of.
 */

import type { Reload } from '../../shared/config-reload.ts'
import { makeDirectories } from '../../shared/durable.ts'
import { describeError, hasCode, toError } from '../../shared/errors.ts'
import { deferred } from '../../shared/handoff.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import type { Level } from '../../shared/log.ts'
import { lackOfRoom } from '../../shared/room.ts'
import { SETTINGS } from '../../shared/settings.ts'
import type { Channel } from '../../shared/socket/index.ts'
import {
  placeOf,
  refuseDirectoriesOfOthers,
  refuseTooFewDescriptors,
} from '../../shared/state-directory.ts'
import { StateMachine } from '../../shared/state-table.ts'
import { MariadbKeeper } from '../mariadb/index.ts'
import type { SupervisorState, SupervisorStatus } from '../state/index.ts'
import { Alerts } from './alerts.ts'
import { type ChildName, childCommand } from './child-command.ts'
import { HealthWatch } from './health-watch.ts'
import { KeptLock } from './kept-lock.ts'
import { Logs } from './logs.ts'
import { ManagedProcess } from './managed-process.ts'
import { StatusFile } from './status-file.ts'
import type { SupervisorOptions } from './supervisor-options.ts'
import { SUPERVISOR_STATES, type SupervisorEvent } from './supervisor-states.ts'

const CHILD_STOP_TIMEOUT_MS = { generator: 20_000, parser: 120_000, serving: 10_000 }
/** With less MariaDB does not come up, which is no fault of its own. */
const MARIADB_ROOM = { reserveBytes: 64 * 2 ** 20, reserveInodes: 100 }

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #failure = deferred()
  readonly #drained = deferred()
  readonly #stopRequested = deferred()
  readonly #startedAtMs = Date.now()
  readonly #states = new StateMachine<SupervisorState, SupervisorEvent>(
    'the supervisor',
    SUPERVISOR_STATES,
    'starting',
    state => {
      this.note(state, 'notice')
      this.#changed()
      this.#options.onState?.()
    },
  )
  readonly #alerts: Alerts
  readonly #statusFile: StatusFile
  readonly #logs: Logs
  #lock: KeptLock | undefined
  #mariadb: MariadbKeeper | undefined
  #parser: ManagedProcess | undefined
  #generator: ManagedProcess | undefined
  #serving: ManagedProcess | undefined
  #watches: HealthWatch[] = []
  #place = ''
  #starting: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined

  /** Never resolves; rejects when a child cannot be kept alive. */
  readonly failed = this.#failure.promise
  /** Resolves when the generator has ended by itself and the parser has nothing left to do. */
  readonly drained = this.#drained.promise

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#logs = new Logs({
      ...{ ...options, directory: options.paths.log, onTrouble: options.onNotice },
      onNotice: text => this.#notice(text),
    })
    this.#statusFile = new StatusFile(options.paths.supervisorStatus, text => this.#notice(text))
    this.#alerts = new Alerts({
      command: options.config.alertCommand,
      stateDirectory: options.paths.dir,
      note: text => this.note(text),
      parserChannel: () => this.parserChannel,
    })
    // Whoever awaits it is told as well.
    this.failed.catch(error => {
      if (!hasCode(error, 'CHILD_FAILED')) return
      this.#alerts.happened('child-given-up', describeError(error))
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
    refuseTooFewDescriptors()
    await makeDirectories(paths.dir, paths.run, paths.log)
    await refuseDirectoriesOfOthers(paths.dir, paths.run, paths.log)
    this.#place = placeOf(paths.dir)
    this.#lock = await KeptLock.take(paths, {
      onTakenAgain: text => {
        this.#notice(text)
        this.#changed()
      },
      onLost: error => this.#failure.reject(error),
      onStatusGone: () => this.#changed(),
    })
    this.#logs.open()
    this.#changed()
    if (config.serve !== '' || config.metricsFile !== '') this.#startServing()
    if (config.databaseUrl === '' && !this.#isStopping) await this.#startMariadb()
    if (this.#isStopping) return
    this.#parser = this.#startChild('parser')
    await this.#untilReady(this.#parser, paths.parserSocket)
    if (this.#isStopping) return
    if (!this.#options.withGenerator) return void this.#states.on('ready')
    this.#generator = this.#startChild('generator')
    this.#generator.ended.then(
      () => this.#states.on('generator ended'),
      error => this.#failure.reject(error),
    )
    await this.#untilReady(this.#generator, paths.generatorSocket)
    const isRunning = this.#states.on('ready') === 'running'
    if (isRunning && config.files === 0) onNotice('running; Ctrl-C stops everything in order')
  }

  get state(): SupervisorState {
    return this.#states.state
  }

  /** Whether nothing that it keeps hangs. */
  get isAlive(): boolean {
    return this.#watches.every(watch => watch.isAlive)
  }

  get #isStopping(): boolean {
    return this.state === 'stopping' || this.state === 'stopped'
  }

  /**
   * In order, everything drained, except MariaDB: for a last look at it once there is nothing left to
   * do. Repeatable.
   */
  async stopChildren(): Promise<void> {
    this.#states.on('children stop asked')
    await this.#generator?.stop()
    await this.#alerts.hearOnceMore()
    await this.#parser?.stop()
    await this.#serving?.stop()
    for (const watch of this.#watches.splice(0)) await watch.stop()
  }

  /** Everything, in order; repeatable, all callers share one outcome. */
  stop(): Promise<void> {
    this.#states.on('stop asked')
    this.#stopRequested.resolve()
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  /** At once: on a second Ctrl-C. What is durable stays so. */
  abandon(): void {
    this.#states.on('abandoned')
    this.#generator?.abandon()
    this.#parser?.abandon()
    this.#serving?.abandon()
  }

  async #stopAll(): Promise<void> {
    await this.#starting.catch(() => {
      // Whoever started us is told; what was started until then is stopped here.
    })
    const failures: Error[] = []
    for (const step of [() => this.stopChildren(), async () => this.#mariadb?.stop()]) {
      await step().catch(error => failures.push(toError(error)))
    }
    await this.#alerts.close()
    this.#lock?.stopLooking()
    this.#states.on('all ended')
    await this.#statusFile.written()
    this.#logs.close()
    this.#lock?.release()
    const [first] = failures
    if (first !== undefined) throw first
  }

  async #startMariadb(): Promise<void> {
    const { paths, config } = this.#options
    const mariadb = new MariadbKeeper({
      paths,
      poolBytes: config.mariadbPoolBytes,
      isDiskFull: async () => (await lackOfRoom(paths.dir, MARIADB_ROOM)) !== undefined,
      onNotice: text => this.#notice(text),
      onChange: () => this.#changed(),
    })
    mariadb.failed.catch(error => this.#failure.reject(error))
    this.#mariadb = mariadb
    await mariadb.start()
  }

  /** The log files have been moved away. */
  reopenLogs(): void {
    this.#logs.reopen()
    this.#notice('logs opened anew', 'notice')
  }

  /** What has become of the configuration; the children look for themselves, unless it is unfit. */
  reload({ text, isRefused }: Reload): void {
    this.#notice(text, isRefused ? 'warn' : 'notice')
    if (isRefused) return
    this.#parser?.hangUp()
    this.#generator?.hangUp()
    this.#serving?.hangUp()
  }

  /** Something that nothing here has caught: everything is stopped in order, as `failed` says why. */
  fail(error: unknown): void {
    this.#logs.supervisor.error(describeError(error), { stack: toError(error).stack })
    this.#failure.reject(toError(error))
  }

  /** For the log alone: there is nobody to be told. */
  note(text: string, level: Level = 'warn'): void {
    this.#logs.supervisor[level](text)
  }

  /** For the person at the terminal, and for the log that is there when nobody sits at it. */
  #notice(text: string, level: Level = 'warn'): void {
    this.note(text, level)
    this.#options.onNotice(text)
  }

  /** Nothing waits for it, and nothing ends with it: what is counted does not depend on who looks. */
  #startServing(): void {
    const child = this.#startChild('serving')
    this.#serving = child
    this.#watch(child, this.#options.paths.servingSocket)
    child.ended.catch(error => {
      this.#notice(`nothing is served any more: ${describeError(error)}`)
      this.#alerts.happened('child-given-up', describeError(error))
    })
  }

  #startChild(name: ChildName): ManagedProcess {
    const { paths, config, whyUnfit, childCommand: command = childCommand } = this.#options
    return new ManagedProcess({
      name,
      command: [...command(name, paths), '--supervised'],
      // One that is started again must not write in another format than is read here.
      env: { ...this.#options.env, [SETTINGS.logFormat.variable]: config.logFormat },
      log: this.#logs.ofChild(name),
      // The parser's hold on MariaDB: it may still have a batch to finish when we are killed.
      inherit: () => {
        const lifeline = name === 'parser' ? this.#mariadb?.lifeline : undefined
        return lifeline === undefined ? [] : [lifeline]
      },
      ...(whyUnfit === undefined ? {} : { whyUnfit }),
      stopTimeoutMs: CHILD_STOP_TIMEOUT_MS[name],
      onDiskFull: why => this.#alerts.happened('low-disk', why),
      onNotice: text => this.#notice(text),
      onChange: () => this.#changed(),
    })
  }

  async #untilReady(child: ManagedProcess, socketPath: string): Promise<void> {
    const answered = deferred()
    this.#watch(child, socketPath, answered.resolve)
    if (child.name === 'parser') {
      child.ended.catch(error => this.#failure.reject(error))
    }
    await Promise.race([answered.promise, child.ended, this.#stopRequested.promise])
  }

  #watch(child: ManagedProcess, socketPath: string, onAnswer = (): void => {}): void {
    const watch = new HealthWatch({
      process: child,
      socketPath,
      onHealth: health => {
        onAnswer()
        if (health.role !== 'parser') return
        if (this.state === 'draining' && health.queue.files === 0) this.#drained.resolve()
        this.#alerts.heard(health)
      },
      onProgress: () => {
        if (child !== this.#serving) this.#mariadb?.progressed()
      },
    })
    watch.failed.catch(error => this.#failure.reject(error))
    this.#watches.push(watch)
  }

  #changed(): void {
    if (this.#lock !== undefined) this.#statusFile.write(() => this.status)
  }

  get status(): SupervisorStatus {
    return {
      pid: process.pid,
      startTime: processIdentity(process.pid)?.startTime ?? '',
      place: this.#place,
      startedAtMs: this.#startedAtMs,
      state: this.state,
      withGenerator: this.#options.withGenerator,
      parser: this.#parser?.report,
      generator: this.#generator?.report,
      serving: this.#serving?.report,
      mariadb:
        this.#options.config.databaseUrl === ''
          ? (this.#mariadb?.report ?? { pid: undefined, restarts: 0, memoryBytes: undefined })
          : undefined,
    }
  }

  /** The last pongs, for the display. */
  get health() {
    const all = this.#watches.flatMap(({ health }) => health ?? [])
    return {
      parser: all.find(health => health.role === 'parser'),
      generator: all.find(health => health.role === 'generator'),
    }
  }

  /** The way to ask the parser something, while it answers. */
  get parserChannel(): Channel | undefined {
    return this.#watches.find(watch => watch.health?.role === 'parser')?.channel
  }
}
