import { hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { type Counts, OUTCOMES, type ParserHealth } from '../../shared/protocol.ts'
import { askOnce } from '../../shared/socket/connecting.ts'
import { eventually } from './eventually.ts'
import { type Ended, type Program, startProgram, type Teardown } from './processes.ts'
import type { Site } from './state-dir.ts'

/** The built parser alone, without a supervisor. */
export function spawnParser(
  t: Teardown,
  site: Site,
  env: Readonly<Record<string, string>> = {},
): Program {
  return startProgram(t, site.paths.dir, ['parser/main.js', '--dir', site.paths.dir], {
    ...site.env,
    ...env,
  })
}

export interface RunningParser extends Program {
  /** As `untilSettled` below, but ends with the parser. */
  untilSettled(files: number): Promise<ParserHealth>
}

/** The same, counting already. */
export async function startParser(
  t: Teardown,
  site: Site,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningParser> {
  const parser = spawnParser(t, site, env)
  await eventually('the parser is ready', async () => {
    if (!parser.isRunning()) return true
    const health = await pingParser(site.paths)
    return health?.pid === parser.pid && health.database === 'ready'
  })
  if (!parser.isRunning()) throw new Error(`the parser ended at its start:\n${parser.output()}`)
  const died = parser.ended.then(({ code, signal }) => {
    throw new Error(`the parser ended (${signal ?? code}) before all files were settled`)
  })
  died.catch(() => {
    // Who waits for files is told.
  })
  return { ...parser, untilSettled: files => Promise.race([untilSettled(site, files), died]) }
}

export async function stopProgram(program: Program): Promise<Ended> {
  program.signal('SIGTERM')
  return program.ended
}

/** undefined: none answers. */
export async function pingParser(paths: StatePaths): Promise<ParserHealth | undefined> {
  try {
    return await askOnce(paths.parserSocket, async channel => {
      const { health } = await channel.request<'pong'>({ type: 'ping' })
      return health as ParserHealth
    })
  } catch (error) {
    // It went away while it was asked.
    if (hasCode(error, 'CHANNEL_CLOSED', 'ECONNRESET', 'EPIPE')) return undefined
    throw error
  }
}

/** Waits until so many files were ever settled and nothing is queued. */
export function untilSettled(site: Site, files: number): Promise<ParserHealth> {
  return eventually(`${files} files are settled`, async () => {
    const health = await pingParser(site.paths)
    if (health === undefined || health.queue.files > 0) return undefined
    return settledCount(health.ever) >= files ? health : undefined
  })
}

export function settledCount(counts: Counts): number {
  return OUTCOMES.reduce((sum, outcome) => sum + counts[outcome], 0)
}
