/**
 * The command line: finds the subcommand, runs it, turns its end into an exit status. A command is a row
 * of this table (`command-table/`), loaded when it is wanted.
 */

import { CountersinkError, describeError, explainError, hasCode } from '../shared/errors.ts'
import { prioritised } from '../shared/journald.ts'
import { printableLines } from '../shared/printable.ts'
import {
  type CommandTable,
  commandsOf,
  errorFields,
  findCommand,
  helpText,
  jsonLine,
  overviewText,
} from './command-table/index.ts'
import { programVersion } from './program-version.ts'
import { EXIT, endAsides, print } from './terminal/index.ts'

export const COMMANDS: CommandTable = {
  up: async () => (await import('./commands/up.ts')).up,
  run: async () => (await import('./commands/run.ts')).run,
  publish: async () => (await import('./commands/publish.ts')).publish,
  hashes: async () => (await import('./commands/hashes.ts')).hashes,
  check: async () => (await import('./commands/check.ts')).check,
  rejects: async () => (await import('./commands/rejects.ts')).rejects,
  explain: async () => (await import('./commands/explain.ts')).explain,
  verify: async () => (await import('./commands/verify.ts')).verify,
  undo: async () => (await import('./commands/undo.ts')).undo,
  redo: async () => (await import('./commands/redo.ts')).redo,
  supersede: async () => (await import('./commands/supersede.ts')).supersede,
  release: async () => (await import('./commands/release.ts')).release,
  refuse: async () => (await import('./commands/refuse.ts')).refuse,
  requeue: async () => (await import('./commands/requeue.ts')).requeue,
  reset: async () => (await import('./commands/reset.ts')).reset,
  prune: async () => (await import('./commands/prune.ts')).prune,
  totals: async () => (await import('./commands/totals.ts')).totals,
  usage: async () => (await import('./commands/usage.ts')).usage,
  status: async () => (await import('./commands/status.ts')).status,
  schema: async () => (await import('./commands/schema.ts')).schema,
  recover: async () => (await import('./commands/recover.ts')).recover,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
  config: async () => (await import('./commands/config.ts')).config,
  systemd: async () => (await import('./commands/systemd.ts')).systemd,
  serve: async () => (await import('./commands/serve.ts')).serve,
  ping: async () => (await import('./commands/ping.ts')).ping,
  help: async () => (await import('./commands/help.ts')).help,
  completion: async () => (await import('./commands/completion.ts')).completion,
  man: async () => (await import('./commands/man.ts')).man,
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

/** What a service does goes on without one, and its exit status tells how it ended. */
function outliveTheReader(): void {
  process.stdout.on('error', () => {
    // Whatever is printed now is printed to nobody.
  })
}

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h') {
    endWithTheReader()
    process.stdout.write(overviewText(await commandsOf(COMMANDS)))
    return name === undefined ? EXIT.usage : EXIT.ok
  }
  if (name === '--version' || name === '-V') {
    process.stdout.write(`${programVersion()}\n`)
    return EXIT.ok
  }
  const end = args.indexOf('--')
  const options = end === -1 ? args : args.slice(0, end)
  let who = 'countersink'
  try {
    const command = await findCommand(COMMANDS, name)
    who = `countersink ${name}`
    const isHelpWanted = options.includes('--help') || options.includes('-h')
    if (command.isService && !isHelpWanted) outliveTheReader()
    else endWithTheReader()
    if (!isHelpWanted) {
      const status = await command.run(args, COMMANDS)
      endAsides(true)
      return status
    }
    process.stdout.write(helpText(command))
    return EXIT.ok
  } catch (error) {
    endAsides(false)
    const isUsage = hasCode(error, 'USAGE', 'CONFIG_INVALID')
    const text = error instanceof CountersinkError ? explainError(error) : describeError(error)
    const more = isUsage && who.endsWith(name) ? `\nSee: ${who} --help` : ''
    process.stderr.write(prioritised(printableLines(`${who}: ${text}${more}\n`), 'error'))
    if (options.includes('--json')) await print(jsonLine(name, errorFields(error)))
    return isUsage ? EXIT.usage : EXIT.cannot
  }
}
