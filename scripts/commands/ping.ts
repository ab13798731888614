import type { StatePaths } from '../../shared/paths.ts'
import { command, fields, flag, list, measure, one, oneOf, text } from '../command-table/index.ts'
import { readSupervisor } from '../state/index.ts'
import { EXIT, environment, print, reach, whyNotReady } from '../terminal/index.ts'

const TARGETS = ['generator', 'parser'] as const
type Target = (typeof TARGETS)[number]

export const ping = command({
  name: 'ping',
  summary: 'tell whether generator and parser are alive, or ready',
  about: `Sends a ping through the socket and prints the round-trip time. Without a name, both that should be
running are asked. What is alive but not at work now (starting, paused, MariaDB unavailable or unfit)
says so, and why.`,
  words: {
    ...{ kind: 'choice', value: 'generator|parser', min: 0, max: 1 },
    choices: { generator: 'only what makes files', parser: 'only what counts them' },
  },
  options: { ready: { kind: 'switch', help: '0 only when the parser runs and counts' } },
  exits: { 0: 'alive', 1: 'not running or silent', 3: 'with --ready: alive, but not ready' },
  examples: [{ line: 'countersink ping parser --ready', what: 'a health check for a monitor' }],
  answer: one(
    fields({
      ready: flag('all that were asked are at work'),
      processes: list(
        fields(
          { name: oneOf(...TARGETS), state: oneOf('silent', 'alive', 'ready') },
          { roundTripMs: measure(), reason: text('why it is not ready') },
        ),
      ),
    }),
  ),
  async run({ values, positionals, answer }) {
    const named = TARGETS.find(target => target === positionals[0])
    const { paths } = environment(values.dir)
    const targets = named === undefined ? await expected(paths) : [named]
    const processes: Reply[] = []
    for (const target of targets) {
      const reply = await pingOne(paths, target)
      processes.push(reply)
      if (!values.json) await print(`${inWords(reply)}\n`)
    }
    const are = (state: State): boolean => processes.some(one => one.state === state)
    if (values.json) await answer({ ready: !are('silent') && !are('alive'), processes })
    if (are('silent')) return EXIT.no
    return values.ready && are('alive') ? EXIT.cannot : EXIT.ok
  },
})

/** `alive`: it answers, but is not at work. */
type State = 'silent' | 'alive' | 'ready'

interface Reply {
  readonly name: Target
  readonly state: State
  readonly roundTripMs?: number
  readonly reason?: string
}

/** The generator is not expected where the supervisor was told not to start it, or it is done. */
async function expected(paths: StatePaths): Promise<readonly Target[]> {
  const status = await readSupervisor(paths)
  const generatorRuns =
    status === undefined || (status.withGenerator && status.state !== 'draining')
  return generatorRuns ? TARGETS : ['parser']
}

async function pingOne(paths: StatePaths, name: Target): Promise<Reply> {
  const reached = await reach(paths, name)
  if ('silentBecause' in reached) {
    const { isThere, silentBecause } = reached
    const reason = isThere ? silentBecause : silentBecause.replace(`the ${name} is `, '')
    return { name, state: 'silent', reason }
  }
  reached.channel.close()
  const { health, roundTripMs } = reached
  const reason = whyNotReady(health)
  if (reason === undefined) return { name, state: 'ready', roundTripMs }
  return { name, state: 'alive', roundTripMs, reason }
}

function inWords({ name, state, roundTripMs, reason }: Reply): string {
  if (roundTripMs === undefined) return `${name}: ${reason}`
  const how = state === 'ready' ? 'healthy' : `alive, not ready (${reason})`
  return `${name}: ${how}, answered in ${roundTripMs.toFixed(2)} ms`
}
