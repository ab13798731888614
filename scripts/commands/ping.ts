import type { StatePaths } from '../../shared/paths.ts'
import { readSupervisor } from '../state/index.ts'
import {
  type Command,
  DIR_HELP,
  EXIT,
  environment,
  parseOptions,
  print,
  reach,
  usage,
  whyNotReady,
} from '../terminal/index.ts'

const TARGETS = ['generator', 'parser'] as const
type Target = (typeof TARGETS)[number]

export const ping: Command = {
  name: 'ping',
  summary: 'tell whether generator and parser are alive, or ready',
  help: `
Usage: countersink ping [--dir D] [generator|parser] [--ready]

Sends a ping through the socket and prints the round-trip time. Without a name, both that should be
running are asked. What is alive but not at work now (starting, paused, MariaDB unavailable or unfit)
says so, and why.

Exit status: 0 alive, 1 not running or silent; with --ready 3 when one is alive but not ready.

${DIR_HELP}
  --ready            0 only when the parser runs and counts
`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      { ready: { type: 'boolean', default: false } },
      { min: 0, max: 1, what: '' },
    )
    const named = positionals[0] === undefined ? undefined : targetOf(positionals[0])
    const { paths } = environment(values.dir)
    const targets = named === undefined ? await expected(paths) : [named]
    const found = new Set<Answer>()
    for (const target of targets) found.add(await pingOne(paths, target))
    if (found.has('silent')) return EXIT.no
    return values.ready && found.has('alive') ? EXIT.cannot : EXIT.ok
  },
}

/** `alive`: it answers, but is not at work. */
type Answer = 'silent' | 'alive' | 'ready'

function targetOf(name: string): Target {
  const found = TARGETS.find(target => target === name)
  if (found === undefined) throw usage(`${JSON.stringify(name)} is neither generator nor parser`)
  return found
}

/** The generator is not expected where the supervisor was told not to start it, or it is done. */
async function expected(paths: StatePaths): Promise<readonly Target[]> {
  const status = await readSupervisor(paths)
  const generatorRuns =
    status === undefined || (status.withGenerator && status.state !== 'draining')
  return generatorRuns ? TARGETS : ['parser']
}

async function pingOne(paths: StatePaths, target: Target): Promise<Answer> {
  const reached = await reach(paths, target)
  if ('silentBecause' in reached) {
    const text = reached.isThere
      ? reached.silentBecause
      : reached.silentBecause.replace(`the ${target} is `, '')
    await print(`${target}: ${text}\n`)
    return 'silent'
  }
  reached.channel.close()
  const why = whyNotReady(reached.health)
  const state = why === undefined ? 'healthy' : `alive, not ready (${why})`
  await print(`${target}: ${state}, answered in ${reached.roundTripMs.toFixed(2)} ms\n`)
  return why === undefined ? 'ready' : 'alive'
}
