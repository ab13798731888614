import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { SupervisorStatus } from '../../scripts/state/supervisor-status.ts'
import { Supervisor } from '../../scripts/supervising/supervisor.ts'
import { readConfig } from '../../shared/config.ts'
import { EXIT_CONFIG, EXIT_DISK_FULL } from '../../shared/errors.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { eventually } from '../helpers/eventually.ts'
import { BUILT } from '../helpers/root.ts'
import { tempDir } from '../shared/helpers.ts'

export type Name = 'parser' | 'generator' | 'serving'

/** `mute`: it never listens. `stubborn`: SIGTERM does not end it. */
export type Manner = 'good' | 'mute' | 'stubborn'

/** What a child is told by a signal. */
const TOLD = {
  end: 'SIGHUP',
  die: 'SIGIO',
  failForGood: 'SIGPWR',
  emptyQueue: 'SIGUSR2',
  fillDisk: 'SIGWINCH',
} as const

/**
 * A parser or a generator, as far as the supervisor knows them: it answers pings, and writes down what
 * happens to it.
 */
const PROGRAM = `
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { ChannelServer } from '${BUILT}shared/socket/channel-server.js'
const [role, manner, path, diary, words] = process.argv.slice(1)
const said = () => existsSync(words) ? JSON.parse(readFileSync(words, 'utf8')) : {}
const note = what => appendFileSync(diary, role + ' ' + what + '\\n')
const end = status => { note('ends'); process.exit(status) }
let queued = 1
process.on('${TOLD.end}', () => end(0))
process.on('${TOLD.die}', () => end(1))
process.on('${TOLD.fillDisk}', () => { console.error('t ERROR parser no room'); end(${EXIT_DISK_FULL}) })
process.on('${TOLD.failForGood}', () => end(${EXIT_CONFIG}))
process.on('${TOLD.emptyQueue}', () => { queued = 0 })
process.on('SIGTERM', () => { note('is asked to stop'); if (manner !== 'stubborn') end(0) })
process.stdin.resume().on('end', () => end(0))
const common = () => ({
  role, pid: process.pid, uptimeSeconds: 1, lastProgressAtMs: Date.now(), eventLoopDelayMs: 0,
})
const counts = {
  applied: 0, duplicate: 0, quarantined: 0, reverted: 0, held: 0, bytes: 0, lines: 0,
}
const health = {
  parser: () => ({
    ...common(), state: 'running', queue: { files: queued, bytes: queued }, database: 'ready',
    sinceStart: counts, ever: counts, processed: 0, ...said(),
  }),
  generator: () => ({
    ...common(), state: 'writing', connected: true, unsettled: 0, sinceStart: { files: 0, bytes: 0 },
  }),
}
health.serving = () => ({ ...common(), state: 'serving', address: '127.0.0.1:1', requests: 0 })
const page = () => ({ files: said().files ?? [] })
const onMessage = ({ type, id }, channel) => channel.send(
  type === 'ping' ? { type: 'pong', id, health: health[role]() } : { type: 'answer', id, body: page() },
)
note('starts')
if (manner !== 'mute') {
  await ChannelServer.listen(path, role, { onMessage, onOpen: () => note('is reached') })
}
`

/** A supervisor whose children are small programs. */
export class SupervisorScene {
  readonly paths: StatePaths
  readonly supervisor: Supervisor
  readonly notices: string[] = []
  readonly #diary: string

  constructor(
    t: Test,
    manners: Readonly<Partial<Record<Name, Manner>>> = {},
    {
      withGenerator = true,
      dir = tempDir(t),
      settings = {},
    }: {
      withGenerator?: boolean
      dir?: string
      settings?: Readonly<Record<string, string>>
    } = {},
  ) {
    this.paths = statePaths(dir)
    this.#diary = `${dir}/diary`
    this.supervisor = new Supervisor({
      paths: this.paths,
      // Of somebody else's, which the supervisor does not look at.
      config: readConfig({
        COUNTERSINK_DATABASE_URL: 'mariadb://nobody:none@127.0.0.1:1/none',
        ...settings,
      }),
      env: { PATH: process.env.PATH },
      withGenerator,
      childCommand: (name, paths) => [
        ...['--input-type=module', '-e', PROGRAM, '--', name, manners[name] ?? 'good'],
        ...[paths[`${name}Socket`], this.#diary],
        `${dir}/words`,
      ],
      onNotice: text => this.notices.push(text),
    })
    t.teardown(async () => {
      this.supervisor.abandon()
      await this.supervisor.stop()
    })
  }

  get state() {
    return this.supervisor.state
  }

  /** What happened to the children, in order, without how often they were reached. */
  get diary(): string[] {
    const lines = existsSync(this.#diary) ? readFileSync(this.#diary, 'utf8').split('\n') : []
    return lines.filter((line, n) => line !== '' && lines.indexOf(line) === n)
  }

  /** The states it went through, as they stand in its log. */
  get way(): string[] {
    const log = readFileSync(`${this.paths.log}/supervisor.log`, 'utf8')
    return [...log.matchAll(/ NOTICE supervisor (\w+)$/gm)].map(([, state = '']) => state)
  }

  get told(): SupervisorStatus {
    return JSON.parse(readFileSync(this.paths.supervisorStatus, 'utf8'))
  }

  async happens(line: string): Promise<void> {
    await eventually(line, () => this.diary.includes(line))
  }

  /** What stands in the parser's pongs from now on, besides what always does. */
  parserSays(words: Readonly<Record<string, unknown>>): void {
    writeFileSync(`${this.paths.dir}/.words`, JSON.stringify(words))
    renameSync(`${this.paths.dir}/.words`, `${this.paths.dir}/words`)
  }

  tell(name: Name, what: keyof typeof TOLD): void {
    process.kill(this.supervisor.status[name]!.pid!, TOLD[what])
  }

  async becomes(state: string): Promise<this> {
    await eventually(`it is ${state}`, () => this.state === state)
    return this
  }
}
