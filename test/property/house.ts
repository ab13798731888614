import { execFileSync } from 'node:child_process'
import {
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseAddress } from '../../parser/ledger/way-in.ts'
import { startPrivateMariadb } from '../../scripts/mariadb/private-mariadb.ts'
import type { SupervisorStatus } from '../../scripts/state/supervisor-status.ts'
import { readConfig } from '../../shared/config.ts'
import { classifyName, type StatePaths, statePaths } from '../../shared/paths.ts'
import { freeRoom } from '../../shared/room.ts'
import { pingParser } from '../helpers/parser.ts'
import { killProcess } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'
import { makeScratchDirectory } from '../helpers/scratch.ts'
import { faultsOf } from './check.ts'
import { NOTHING_FOREIGN } from './database.ts'
import type { HousePlan, Trouble } from './house-plan.ts'
import { HistoryFailed } from './life.ts'
import { type SpawnedProgram, spawnOn } from './parser-process.ts'
import { Publisher } from './publisher.ts'
import { limitsAsEnv } from './site.ts'

/** Generous: a machine may be busy with something else, and MariaDB starts several times. */
const HOUSE_MS = 180_000
const POLL_MS = 20
/** How long the disk stays full and the logs away. */
const TROUBLE_MS = 400
/** MariaDB's own files take most of it. */
const DISK_BYTES = 2 ** 30

/**
 * Lets a whole house live: files come, its parts die and what it stands on fails, one thing after
 * the other. It must go on by itself, and its sums be exact; only where everything died is it
 * started again, as a machine would.
 *
 * @returns what is wrong, in words; undefined when all is well.
 */
export async function liveInHouse(plan: HousePlan): Promise<string | undefined> {
  const dir = makeScratchDirectory('csu')
  const hasDisk = mountDisk(dir)
  const house = new House(plan, statePaths(dir), hasDisk)
  try {
    await house.untilSettled()
    const faults = await house.faults()
    return faults.length === 0 ? undefined : [...faults, house.log()].join('\n')
  } catch (error) {
    if (!(error instanceof HistoryFailed)) throw error
    return `${error.message}\n${house.log()}`
  } finally {
    await house.close()
    if (hasDisk) execFileSync('umount', ['--lazy', dir])
    rmSync(dir, { recursive: true, force: true, maxRetries: 20 })
  }
}

class House {
  readonly #plan: HousePlan
  readonly #paths: StatePaths
  readonly #hasDisk: boolean
  readonly #env: Readonly<Record<string, string>>
  readonly #publisher: Publisher
  readonly #watchers: FSWatcher[]
  readonly #programs: SpawnedProgram[] = []
  readonly #said: string[] = []
  #nameChanges = 0

  constructor(plan: HousePlan, paths: StatePaths, hasDisk: boolean) {
    this.#plan = plan
    this.#paths = paths
    this.#hasDisk = hasDisk
    this.#env = limitsAsEnv(plan.limits)
    for (const path of [paths.inbox, paths.work, paths.parser, paths.runs]) {
      mkdirSync(path, { recursive: true, mode: 0o700 })
    }
    this.#publisher = new Publisher(paths, plan.files)
    this.#watchers = [paths.work, paths.runs].map(path =>
      watch(path, () => {
        this.#nameChanges += 1
      }),
    )
    this.#startUp()
  }

  log(): string {
    const logs = readdirSync(this.#paths.log)
      .filter(name => name.startsWith('parser'))
      .map(name => `--- ${name}:\n${readFileSync(join(this.#paths.log, name), 'utf8')}`)
    return [...this.#said, ...this.#programs.map(up => `--- up:\n${up.log()}`), ...logs].join('\n')
  }

  /** All troubles have come, all files are settled, and the house has been stopped in order. */
  async untilSettled(): Promise<void> {
    const deadline = performance.now() + HOUSE_MS
    let since = 0
    const left = [...this.#plan.troubles]
    for (;;) {
      if (performance.now() > deadline) this.#fail(`it is not through within ${HOUSE_MS} ms`)
      await sleep(POLL_MS)
      this.#assertRunning()
      const isIdle = this.#isIdle()
      this.#publisher.publish(file => isIdle || this.#nameChanges >= file.at.after)
      const next = left[0]
      if (next !== undefined && (isIdle || this.#nameChanges - since >= next.afterNames)) {
        if (!(await this.#isStarted())) continue
        left.shift()
        await this.#suffer(next.what)
        since = this.#nameChanges
        continue
      }
      if (
        next === undefined &&
        this.#publisher.isDone &&
        this.#isIdle() &&
        (await this.#isThrough())
      )
        break
    }
    const up = this.#up
    up.signal('SIGTERM')
    while (up.ended() === undefined) {
      if (performance.now() > deadline) this.#fail('it does not stop')
      await sleep(POLL_MS)
    }
    if (up.ended()?.code !== 0) this.#fail(`up ended with ${JSON.stringify(up.ended())}`)
  }

  async faults(): Promise<string[]> {
    const server = await startPrivateMariadb({
      dataDir: this.#paths.mariadb,
      socketPath: this.#paths.mariadbSocket,
      pidPath: this.#paths.mariadbPid,
      logPath: join(this.#paths.log, 'mariadb.log'),
    })
    try {
      const config = readConfig(this.#env)
      const address = databaseAddress(config, this.#paths)
      const site = { directories: [this.#paths], config, address, database: NOTHING_FOREIGN }
      return await faultsOf(site, this.#plan.files, this.#plan.seed)
    } finally {
      await server.stop()
    }
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.close()
    for (const up of this.#programs) if (up.ended() === undefined) up.signal('SIGKILL')
    while (this.#programs.some(up => up.ended() === undefined)) await sleep(POLL_MS)
    await this.#publisher.settled()
  }

  get #up(): SpawnedProgram {
    return this.#programs.at(-1)!
  }

  #startUp(): void {
    const { dir } = this.#paths
    const command = [`${BUILT}scripts/countersink.js`, 'up', '--dir', dir, '--no-generator']
    this.#programs.push(spawnOn(dir, command, this.#env, () => {}))
  }

  #assertRunning(): void {
    const ended = this.#up.ended()
    if (ended !== undefined) this.#fail(`up ended by itself with ${JSON.stringify(ended)}`)
  }

  #fail(why: string): never {
    const { inbox, work } = this.#paths
    throw new HistoryFailed(`${why}\ninbox: ${readdirSync(inbox)}\nwork: ${readdirSync(work)}`)
  }

  #isIdle(): boolean {
    const { inbox, work } = this.#paths
    const waiting = readdirSync(inbox).filter(name => classifyName(name) === 'data')
    return waiting.length === 0 && readdirSync(work).length === 0
  }

  /** Its parts can be found: what is to die must live. */
  async #isStarted(): Promise<boolean> {
    const { parser, mariadb, state } = (await this.#status()) ?? {}
    return state === 'running' && isAlive(parser?.pid) && isAlive(mariadb?.pid)
  }

  async #isThrough(): Promise<boolean> {
    const health = await pingParser(this.#paths).catch(() => undefined)
    return health?.state === 'running' && health.queue.files === 0
  }

  async #status(): Promise<SupervisorStatus | undefined> {
    try {
      const text = await readFile(this.#paths.supervisorStatus, 'utf8')
      const status = JSON.parse(text) as SupervisorStatus
      return status.pid === this.#up.pid ? status : undefined
    } catch {
      // Not written yet.
      return undefined
    }
  }

  async #suffer(what: Trouble): Promise<void> {
    const { log, parserSocket } = this.#paths
    const { parser, mariadb } = (await this.#status()) ?? {}
    this.#said.push(`after ${this.#nameChanges} changes of names: ${what}`)
    switch (what) {
      case 'MariaDB and the parser die':
        kill(mariadb?.pid)
        return kill(parser?.pid)
      case 'MariaDB dies':
        return kill(mariadb?.pid)
      case 'the parser dies':
        return kill(parser?.pid)
      case 'everything dies':
        kill(mariadb?.pid)
        kill(parser?.pid)
        this.#up.signal('SIGKILL')
        while (this.#up.ended() === undefined) await sleep(POLL_MS)
        return this.#startUp()
      case 'the terminal hangs up':
        return void killProcess(this.#up.pid, 'SIGHUP')
      case 'the logs are moved away':
        for (const name of readdirSync(log)) renameSync(join(log, name), join(log, `${name}.old`))
        return
      case 'the logs cannot be written':
        renameSync(log, `${log}.away`)
        writeFileSync(log, 'no directory')
        killProcess(this.#up.pid, 'SIGHUP')
        kill(parser?.pid)
        await sleep(TROUBLE_MS)
        rmSync(log)
        return renameSync(`${log}.away`, log)
      case 'the socket is removed':
        return rmSync(parserSocket, { force: true })
      case 'the disk is full':
        if (this.#hasDisk) await this.#fillDisk()
    }
  }

  async #fillDisk(): Promise<void> {
    const filler = join(this.#paths.dir, 'filler')
    try {
      writeFileSync(filler, Buffer.alloc((await freeRoom(this.#paths.dir)).freeBytes))
    } catch {
      // Somebody took some of it meanwhile: it is full all the same.
    }
    await sleep(TROUBLE_MS)
    rmSync(filler, { force: true })
  }
}

/** @returns false where that is not permitted: then no disk becomes full. */
function mountDisk(dir: string): boolean {
  try {
    const options = `size=${DISK_BYTES},mode=700`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function isAlive(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0)
  } catch {
    return false
  }
}

function kill(pid: number | undefined): void {
  if (pid !== undefined && isAlive(pid)) killProcess(pid)
}
