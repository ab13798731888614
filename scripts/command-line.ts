import { readFileSync } from 'node:fs'
import { CountersinkError, describeError, explainError } from '../shared/errors.ts'
import { nearest } from '../shared/nearest.ts'
import { printable, printableLines } from '../shared/printable.ts'
import { type Command, EXIT } from './terminal/index.ts'

/** The command line: finds the subcommand, runs it, turns its end into an exit status. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./commands/up.ts')).up,
  run: async () => (await import('./commands/run.ts')).run,
  publish: async () => (await import('./commands/publish.ts')).publish,
  hashes: async () => (await import('./commands/hashes.ts')).hashes,
  check: async () => (await import('./commands/check.ts')).check,
  totals: async () => (await import('./commands/totals.ts')).totals,
  status: async () => (await import('./commands/status.ts')).status,
  schema: async () => (await import('./commands/schema.ts')).schema,
  recover: async () => (await import('./commands/recover.ts')).recover,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  config: async () => (await import('./commands/config.ts')).config,
  ping: async () => (await import('./commands/ping.ts')).ping,
}

/** The whole life of the process, but for what ends it early. */
export async function run(args: string[]): Promise<void> {
  process.exitCode = await main(args)
}

/** A reader that has seen enough (`countersink totals | head`) is no failure. */
function endWithTheReader(): void {
  process.stdout.on('error', error => {
    process.exit('code' in error && error.code === 'EPIPE' ? EXIT.ok : EXIT.cannot)
  })
}

async function main([name, ...args]: string[]): Promise<number> {
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  const command = await load?.()
  const end = args.indexOf('--')
  const options = end === -1 ? args : args.slice(0, end)
  const isHelpWanted = options.includes('--help') || options.includes('-h')
  if (!command?.isService || isHelpWanted) endWithTheReader()
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(await overview())
    return name === undefined ? EXIT.usage : EXIT.ok
  }
  if (name === '--version' || name === '-V') {
    process.stdout.write(`${version()}\n`)
    return EXIT.ok
  }
  if (command === undefined) {
    const near = nearest(name, Object.keys(COMMANDS))
    const hint = near === undefined ? '' : ` Did you mean ${near}?`
    const shown = printable(JSON.stringify(name))
    if (name.startsWith('-')) {
      process.stderr.write(`countersink: a command comes first, then its options; found ${shown}\n`)
      return EXIT.usage
    }
    process.stderr.write(`countersink: there is no command ${shown}.${hint}\n`)
    return EXIT.usage
  }
  if (isHelpWanted) {
    process.stdout.write(`${command.help.trim()}\n`)
    return EXIT.ok
  }
  try {
    return await command.run(args)
  } catch (error) {
    const isUsage =
      error instanceof CountersinkError &&
      (error.code === 'USAGE' || error.code === 'CONFIG_INVALID')
    const text = error instanceof CountersinkError ? explainError(error) : describeError(error)
    const more = isUsage ? `\nSee: countersink ${name} --help` : ''
    process.stderr.write(printableLines(`countersink ${name}: ${text}${more}\n`))
    return isUsage ? EXIT.usage : EXIT.cannot
  }
}

async function overview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map(load => load()))
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(9)} ${summary}`)
  return `countersink turns files of lines "consumer amount" into exact totals in MariaDB.

Usage: countersink COMMAND [OPTION]…

${list.join('\n')}

Every command knows --help and --dir D (the state directory, default ./var) and --config FILE.
Exit status: 0 yes or done, 1 the negative answer, 2 wrong usage, 3 cannot answer now,
130 interrupted before there was an answer.
`
}

function version(): string {
  // Built files stand in dist/scripts/.
  const file = new URL('../../package.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}
