import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Config, configOf } from '../../shared/config.ts'
import { logsDirectory } from '../../shared/config-places.ts'
import { LiveConfig } from '../../shared/config-reload.ts'
import { CountersinkError, describeError } from '../../shared/errors.ts'
import { stopRequested } from '../../shared/lifecycle.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import { printable, shellWord } from '../../shared/printable.ts'
import { type Counts, processedPage } from '../../shared/protocol.ts'
import { SERVE_DEFAULT, servedPlace } from '../../shared/serve-address.ts'
import { readServeToken } from '../../shared/serve-token.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import { steadyWriter } from '../../shared/steady-writer.ts'
import { command } from '../command-table/index.ts'
import { closingReport } from '../reports/index.ts'
import {
  outliveTheTerminal,
  refuseAnotherDatabase,
  type ServiceManager,
  ServiceNotices,
  Supervisor,
  takeServiceManager,
} from '../supervising/index.ts'
import {
  columnsOf,
  EXIT,
  isLively,
  LOG_OPTIONS,
  LOG_SETTINGS,
  lineWriter,
  ProgressDisplay,
  usage,
  variablesOf,
} from '../terminal/index.ts'
import { reportJson, UP_ANSWER } from './up-answer.ts'

const settingsHelp = Object.values(SETTINGS)
  .map(
    setting =>
      `  ${setting.variable}=${setting.default || "''"}\n      ${setting.meaning}\n      ${setting.allowed}`,
  )
  .join('\n')

export const up = command({
  name: 'up',
  isService: true,
  summary: 'run MariaDB, parser and generator on a state directory until Ctrl-C',
  about: `Starts a private MariaDB (unless COUNTERSINK_DATABASE_URL names yours), the parser and the
generator, keeps them running, and stops them in order on Ctrl-C or SIGTERM. On SIGHUP it opens its logs anew
and reads the configuration again; it goes on when its terminal closes.

The generator makes up usage, which is counted like any other: into a database of yours only with
--generator.

It prints its progress on standard output; where systemd's journal reads along, and where the log is JSON
and nobody sits at a terminal, every line of its logs on standard error instead (${SETTINGS.output.variable}).`,
  options: {
    generator: { kind: 'switch', help: 'generate files, also into a database of yours' },
    'no-generator': {
      kind: 'switch',
      insteadOf: 'generator',
      help: 'only count what others put into the inbox or publish: what a database of yours gets unless --generator is given',
    },
    files: {
      ...{ kind: 'text', value: 'N' },
      help: 'generate N files, wait until they are settled, prove that it adds up, and end',
    },
    'file-size': {
      ...{ kind: 'text', value: 'A-B' },
      help: `sizes of generated files (default: ${SETTINGS.fileSize.default})`,
    },
    consumers: {
      ...{ kind: 'text', value: 'N' },
      help: `consumers in the generated stream (default: ${SETTINGS.consumers.default})`,
    },
    days: {
      ...{ kind: 'text', value: 'N' },
      help: `spread the usage of generated files over N days before now, which "countersink usage" shows (default: ${SETTINGS.days.default})`,
    },
    seed: {
      ...{ kind: 'text', value: 'S' },
      help: `seed of the generated stream (default: ${SETTINGS.seed.default})`,
    },
    serve: {
      ...{ kind: 'text', value: 'ADDRESS', alone: SERVE_DEFAULT },
      help: `serve a page, an API and metrics over HTTP; alone: at ${SERVE_DEFAULT}`,
    },
    ...LOG_OPTIONS,
  },
  exits: {
    0: 'stopped in order; with --files only if it adds up',
    1: 'it does not add up',
    3: 'it could not go on, and why',
    130: 'with --files: interrupted before it was proved',
  },
  examples: [
    { line: 'countersink up --files 3', what: 'three files through everything, with proof' },
    { line: 'countersink up --no-generator', what: 'a service for what comes into the inbox' },
  ],
  notes: `Everything else is set by environment variables, or in the configuration file (countersink config --help):
${settingsHelp}`,
  answer: UP_ANSWER,
  async run({ values, isDirGiven, answer }) {
    const manager = takeServiceManager(process.env)
    const env = {
      ...{ ...process.env, COUNTERSINK_RUN_ID: randomUUID() },
      ...variablesOf(values, { ...SETTING_OF, ...LOG_SETTINGS }),
    }
    const own = statePaths(values.dir)
    const live = new LiveConfig(() => configOf(own.dir, env))
    const { config } = live
    const paths = { ...own, log: logsDirectory(env, isDirGiven) ?? own.log }
    const end = await supervise(paths, env, live, {
      withGenerator: withGenerator(values, config),
      manager,
      // An answer has standard output to itself.
      output: values.json ? process.stderr : process.stdout,
    })
    const exit = EXIT_OF[end.outcome]
    if (values.json) await answer({ exit, ...end })
    return exit
  },
})

const EXIT_OF = {
  'adds-up': EXIT.ok,
  'does-not-add-up': EXIT.no,
  stopped: EXIT.ok,
  interrupted: EXIT.interrupted,
  cannot: EXIT.cannot,
} as const

/** How it ended, as `--json` says it. */
interface End {
  readonly outcome: keyof typeof EXIT_OF
  readonly reason: string | null
  readonly report: object | null
}

type GeneratorOptions = {
  readonly generator: boolean
  readonly 'no-generator': boolean
} & { readonly [option in (typeof OF_THE_GENERATOR)[number]]: string | undefined }

const OF_THE_GENERATOR = ['files', 'file-size', 'consumers', 'days', 'seed'] as const

const { files, fileSize, consumers, days, seed, serve } = SETTINGS
const SETTING_OF = { files, 'file-size': fileSize, consumers, days, seed, serve } as const

/**
 * Whether the generator runs. What it makes up must never come into a database of somebody's own by
 * an oversight: there it runs only when asked for by name, and whoever asks for its files without
 * that is told.
 *
 * @throws CountersinkError USAGE
 */
function withGenerator(options: GeneratorOptions, config: Config): boolean {
  const isWanted = options.generator
  const isUnwanted = options['no-generator']
  const isPrivate = config.databaseUrl === ''
  if (isWanted || (isPrivate && !isUnwanted)) return true
  const given = OF_THE_GENERATOR.filter(name => options[name] !== undefined).map(
    name => `--${name}`,
  )
  if (options.files === undefined && config.files > 0) {
    given.push(`${SETTINGS.files.variable}=${config.files}`)
  }
  if (given.length === 0) return false
  const whatFor = `${given.join(', ')}: this is for the generator`
  throw usage(
    isUnwanted
      ? `${whatFor}, and --no-generator is given: leave out the one or the other`
      : `${whatFor}, which does not write into a database of yours (${SETTINGS.databaseUrl.variable}) unasked: add --generator, and what it makes up is counted there; or leave this out`,
  )
}

const DRAW_INTERVAL_MS = 200

async function supervise(
  paths: StatePaths,
  env: NodeJS.ProcessEnv,
  live: LiveConfig,
  {
    withGenerator,
    manager,
    output,
  }: {
    readonly withGenerator: boolean
    readonly manager: ServiceManager | undefined
    readonly output: NodeJS.WriteStream
  },
): Promise<End> {
  const { config } = live
  process.umask(0o077)
  if (existsSync(paths.dir)) await refuseDirectoriesOfOthers(paths.dir)
  await refuseAnotherDatabase(paths, config)
  if (config.serve !== '') readServeToken(config.serveTokenFile)
  const writeLine = lineWriter(config)
  const display = new ProgressDisplay({
    isTTY: isLively(output),
    get columns() {
      return columnsOf(output)
    },
    write: writeLine === undefined ? steadyWriter(output) : () => {},
  })
  const supervisor = new Supervisor({
    ...{ paths, config, env, withGenerator },
    whyUnfit: () => live.whyUnfit(),
    onState: () => notices?.look(),
    onNotice: text => display.say(printable(text)),
    ...(writeLine && { onLine: writeLine }),
  })
  const notices = manager && new ServiceNotices(manager, supervisor)
  outliveTheTerminal(supervisor, () => {
    const reload = (): void => supervisor.reload(live.reload())
    if (notices === undefined) reload()
    else notices.reloading(reload)
  })
  const stopRequest = stopRequested(false, () => {
    display.end()
    supervisor.abandon()
    process.exit(EXIT.interrupted)
  })
  const startedMs = performance.now()
  const settled = new SettledFiles(supervisor, display)
  const draw = (): void => {
    void settled.show()
    display.draw({
      parser: supervisor.health.parser,
      generator: supervisor.health.generator,
      filesWanted: config.files,
      elapsedMs: performance.now() - startedMs,
    })
  }
  const timer = writeLine === undefined ? setInterval(draw, DRAW_INTERVAL_MS) : undefined
  /** What was asked for with --files, wherever the rest goes. */
  const tell = (line: string): void => {
    if (writeLine === undefined) display.say(line)
    else output.write(`${line}\n`)
  }
  const database = config.databaseUrl === '' ? 'a private MariaDB' : 'your MariaDB'
  const generator = withGenerator ? 'a generator makes files' : 'no generator'
  const served =
    config.serve === '' ? '' : `; page, API and metrics at ${servedPlace(config.serve)}`
  display.say(printable(`countersink in ${paths.dir}; ${database}; ${generator}${served}`))
  try {
    const why = await Promise.race([
      supervisor.start().then(() => Promise.race([supervisor.drained, supervisor.failed])),
      stopRequest,
    ])
    await settled.show()
    if (why === undefined) return await finish()
    supervisor.note(`asked to stop: ${why}`, 'notice')
    display.say(`stopping in order (${why}) …`)
    await supervisor.stop()
    display.end()
    display.say('stopped; everything in hand is safe and goes on at the next start')
    if (config.files === 0) return { outcome: 'stopped', reason: why, report: null }
    tell(`interrupted: not all of the ${config.files} files are settled, and nothing was proved`)
    return { outcome: 'interrupted', reason: why, report: null }
  } catch (error) {
    supervisor.note(describeError(error), 'error')
    await supervisor.stop().catch(() => {
      // What made us stop is the better news, and it is on its way to the terminal.
    })
    // There it is said already.
    if (writeLine !== undefined) {
      return { outcome: 'cannot', reason: describeError(error), report: null }
    }
    throw error
  } finally {
    clearInterval(timer)
    display.end()
    await notices?.close()
  }

  async function finish(): Promise<End> {
    await supervisor.stopChildren()
    const report = await closingReport(paths, config, columnsOf(output))
    clearInterval(timer)
    display.end()
    for (const line of ['', ...report.lines]) tell(line)
    if (report.addsUp && report.isFirst) {
      for (const line of whatNext(paths)) tell(line)
    }
    await supervisor.stop()
    const outcome = report.addsUp ? 'adds-up' : 'does-not-add-up'
    return { outcome, reason: null, report: reportJson(report) }
  }
}

/** For a person who has seen it work once. */
function whatNext({ dir }: StatePaths): string[] {
  const name = process.env.npm_command === undefined ? 'countersink' : 'npx countersink'
  const where = dir === resolve('var') ? '' : ` --dir ${shellWord(dir)}`
  return [
    '',
    `Next: ${name} totals --top 5${where}   shows the largest totals;`,
    `      ${name} usage${where}   shows what was used, day by day;`,
    `      ${name} explain --consumer ID${where}   tells which files made one of them;`,
    `      ${name} up --no-generator${where}   counts what comes into the inbox;`,
    `      ${name} publish FILE --wait${where}   brings a file of yours there.`,
  ]
}

/** Says each file once it is settled, in order, by asking the parser what is new. */
class SettledFiles {
  readonly #supervisor: Supervisor
  readonly #display: ProgressDisplay
  #shown: number | undefined
  #asking = false

  constructor(supervisor: Supervisor, display: ProgressDisplay) {
    this.#supervisor = supervisor
    this.#display = display
  }

  async show(): Promise<void> {
    const { parser } = this.#supervisor.health
    const channel = this.#supervisor.parserChannel
    if (parser === undefined || channel === undefined || this.#asking) return
    // What was settled before this start is history.
    this.#shown ??= parser.processed - countOf(parser.sinceStart)
    if (parser.processed < this.#shown) this.#shown = parser.processed
    if (parser.processed === this.#shown) return
    this.#asking = true
    try {
      const question = { kind: 'after', number: this.#shown }
      const answer = await channel.request<'answer'>({ type: 'query', question })
      for (const file of processedPage(answer).files) {
        this.#display.settled(file)
        this.#shown = file.number
      }
    } catch (error) {
      // The parser went away in the middle; the same question is asked again of its successor.
      if (!(error instanceof CountersinkError)) throw error
    } finally {
      this.#asking = false
    }
  }
}

function countOf(counts: Omit<Counts, 'bytes' | 'lines'>): number {
  const { applied, duplicate, quarantined, reverted, held } = counts
  return applied + duplicate + quarantined + reverted + held
}
