import type { StatePaths } from '../../shared/paths.ts'
import type { Health } from '../../shared/protocol.ts'
import { type Command, DIR_HELP, EXIT, environment, parseOptions, usage } from '../cli.ts'
import { reach } from '../reaching.ts'
import { print, readSupervisor } from '../sources.ts'

const TARGETS = ['generator', 'parser'] as const
type Target = (typeof TARGETS)[number]

export const ping: Command = {
  name: 'ping',
  summary: 'tell whether generator and parser are healthy',
  help: `
Usage: countersink ping [--dir D] [generator|parser]

Sends a ping through the socket and prints the round-trip time. Without a name, both that should be
running are asked. Exit status: 0 healthy, 1 not.

${DIR_HELP}
`,
  async run(args) {
    const { values, positionals } = parseOptions(args, {}, { min: 0, max: 1, what: '' })
    const { paths } = environment(values.dir)
    const named = positionals[0]
    const targets = named === undefined ? await expected(paths) : [targetOf(named)]
    let healthy = true
    for (const target of targets) healthy = (await pingOne(paths, target)) && healthy
    return healthy ? EXIT.ok : EXIT.no
  },
}

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

async function pingOne(paths: StatePaths, target: Target): Promise<boolean> {
  const reached = await reach(paths, target)
  if ('silentBecause' in reached) {
    const text = reached.isThere ? reached.silentBecause : 'not running'
    await print(`${target}: ${text}\n`)
    return false
  }
  reached.channel.close()
  const illness = illnessOf(reached.health)
  const answered = `answered in ${reached.roundTripMs.toFixed(2)} ms`
  await print(`${target}: ${illness ?? 'healthy'}, ${answered}\n`)
  return illness === undefined
}

function illnessOf(health: Health): string | undefined {
  if (health.role === 'parser' && health.database !== 'ready') {
    return `MariaDB is ${health.database} (${health.databaseReason ?? 'unknown why'})`
  }
  if (health.state === 'stopping') return 'stopping'
  return undefined
}
