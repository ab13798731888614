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
import { processedPage } from '../../shared/protocol.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import { steadyWriter } from '../../shared/steady-writer.ts'
import { closingReport } from '../reports/index.ts'
import { outliveTheTerminal, refuseAnotherDatabase, Supervisor } from '../supervising/index.ts'
import {
  type Command,
  columnsOf,
  DIR_HELP,
  EXIT,
  isLively,
  LOG_HELP,
  LOG_OPTIONS,
  LOG_SETTINGS,
  lineWriter,
  ProgressDisplay,
  parseOptions,
  usage,
  variablesOf,
} from '../terminal/index.ts'

const settingsHelp = Object.values(SETTINGS)
  .map(
    setting =>
      `  ${setting.variable}=${setting.default || "''"}\n      ${setting.meaning}\n      ${setting.allowed}`,
  )
  .join('\n')

export const up: Command = {
  name: 'up',
  isService: true,
  summary: 'run MariaDB, parser and generator on a state directory until Ctrl-C',
  help: `
Usage: countersink up [--dir D] [--generator | --no-generator] [--files N] [--file-size A-B]
                      [--consumers N] [--seed S] [--log-format F] [--log-level L]

Starts a private MariaDB (unless COUNTERSINK_DATABASE_URL names yours), the parser and the
generator, keeps them running, and stops them in order on Ctrl-C or SIGTERM. On SIGHUP it opens its logs anew
and reads the configuration again; it goes on when its terminal closes.

The generator makes up usage, which is counted like any other: into a database of yours only with
--generator.

${DIR_HELP}
  --generator        generate files, also into a database of yours
  --no-generator     only count what others put into the inbox or publish: what a database of
                     yours gets unless --generator is given
  --files N          generate N files, wait until they are settled, prove that it adds up, and end:
                     exit status 0 only if it does, 130 when it was interrupted before
  --file-size A-B    sizes of generated files (default: ${SETTINGS.fileSize.default})
  --consumers N      consumers in the generated stream (default: ${SETTINGS.consumers.default})
  --seed S           seed of the generated stream (default: ${SETTINGS.seed.default})
${LOG_HELP}

It prints its progress on standard output; where systemd's journal reads along, and where the log is JSON
and nobody sits at a terminal, every line of its logs on standard error instead (${SETTINGS.output.variable}).

Everything else is set by environment variables, or in the configuration file (countersink config --help):
${settingsHelp}
`,
  async run(args) {
    const { values, isDirGiven } = parseOptions(args, {
      generator: { type: 'boolean', default: false },
      'no-generator': { type: 'boolean', default: false },
      files: { type: 'string' },
      'file-size': { type: 'string' },
      consumers: { type: 'string' },
      seed: { type: 'string' },
      ...LOG_OPTIONS,
    })
    const env = {
      ...{ ...process.env, COUNTERSINK_RUN_ID: randomUUID() },
      ...variablesOf(values, { ...SETTING_OF, ...LOG_SETTINGS }),
    }
    const own = statePaths(values.dir)
    const live = new LiveConfig(() => configOf(own.dir, env))
    const { config } = live
    const paths = { ...own, log: logsDirectory(env, isDirGiven) ?? own.log }
    return supervise(paths, env, live, withGenerator(values, config))
  },
}

type GeneratorOptions = {
  readonly generator: boolean
  readonly 'no-generator': boolean
} & { readonly [option in (typeof OF_THE_GENERATOR)[number]]?: string }

const OF_THE_GENERATOR = ['files', 'file-size', 'consumers', 'seed'] as const

const { files, fileSize, consumers, seed } = SETTINGS
const SETTING_OF = { files, 'file-size': fileSize, consumers, seed } as const

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
  if (isWanted && isUnwanted) throw usage('--generator and --no-generator cannot be combined')
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
  withGenerator: boolean,
): Promise<number> {
  const { config } = live
  process.umask(0o077)
  if (existsSync(paths.dir)) await refuseDirectoriesOfOthers(paths.dir)
  await refuseAnotherDatabase(paths, config)
  const writeLine = lineWriter(config)
  const display = new ProgressDisplay({
    isTTY: isLively(process.stdout),
    get columns() {
      return columnsOf(process.stdout)
    },
    write: writeLine === undefined ? steadyWriter(process.stdout) : () => {},
  })
  const supervisor = new Supervisor({
    ...{ paths, config, env, withGenerator },
    whyUnfit: () => live.whyUnfit(),
    onNotice: text => display.say(printable(text)),
    ...(writeLine && { onLine: writeLine }),
  })
  outliveTheTerminal(supervisor, () => supervisor.reload(live.reload()))
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
    else process.stdout.write(`${line}\n`)
  }
  const database = config.databaseUrl === '' ? 'a private MariaDB' : 'your MariaDB'
  const generator = withGenerator ? 'a generator makes files' : 'no generator'
  display.say(printable(`countersink in ${paths.dir}; ${database}; ${generator}`))
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
    if (config.files === 0) return EXIT.ok
    tell(`interrupted: not all of the ${config.files} files are settled, and nothing was proved`)
    return EXIT.interrupted
  } catch (error) {
    supervisor.note(describeError(error), 'error')
    await supervisor.stop().catch(() => {
      // What made us stop is the better news, and it is on its way to the terminal.
    })
    // There it is said already.
    if (writeLine !== undefined) return EXIT.cannot
    throw error
  } finally {
    clearInterval(timer)
    display.end()
  }

  async function finish(): Promise<number> {
    await supervisor.stopChildren()
    const report = await closingReport(paths, config, columnsOf(process.stdout))
    clearInterval(timer)
    display.end()
    for (const line of ['', ...report.lines]) tell(line)
    if (report.addsUp && report.isFirst) {
      for (const line of whatNext(paths)) tell(line)
    }
    await supervisor.stop()
    return report.addsUp ? EXIT.ok : EXIT.no
  }
}

/** For a person who has seen it work once. */
function whatNext({ dir }: StatePaths): string[] {
  const name = process.env.npm_command === undefined ? 'countersink' : 'npx countersink'
  const where = dir === resolve('var') ? '' : ` --dir ${shellWord(dir)}`
  return [
    '',
    `Next: ${name} totals --top 5${where}   shows the largest totals;`,
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

function countOf(counts: { applied: number; duplicate: number; quarantined: number }): number {
  return counts.applied + counts.duplicate + counts.quarantined
}
