import { randomUUID } from 'node:crypto'
import type { Config } from '../shared/config.ts'
import { makeDirectories } from '../shared/durable.ts'
import { CountersinkError } from '../shared/errors.ts'
import { Bell } from '../shared/handoff.ts'
import { processIdentity, type Service } from '../shared/lifecycle.ts'
import type { Log } from '../shared/log.ts'
import { statePaths } from '../shared/paths.ts'
import { requireRenamesBetween } from '../shared/renames-between.ts'
import { GeneratorLoop } from './generator-loop.ts'
import { HealthServer } from './health.ts'
import { Leftovers } from './leftovers.ts'
import { FileMaker } from './making/index.ts'
import { Progress } from './progress.ts'
import { Announcer, sweepLeftovers } from './publishing/index.ts'
import { Spool } from './spool.ts'
import { Status } from './status.ts'

export interface GeneratorOptions {
  /** The state directory. */
  readonly dir: string
  readonly config: Config
  /** Starts with the same id make `config.files` files together; undefined: this one alone. */
  readonly runId: string | undefined
  readonly log: Log
}

/**
 * Takes over the state directory, brings what a crash left to its end, and begins to make files.
 *
 * @throws CountersinkError ALREADY_RUNNING, STATE_DIRECTORY_UNFIT or CONFIG_INVALID.
 */
export async function startGenerator(options: GeneratorOptions): Promise<Service> {
  const { config, log } = options
  const runId = checkedRunId(options.runId)
  const paths = statePaths(options.dir)
  await makeDirectories(paths.generator, paths.generatorTmp, paths.inbox, paths.run)
  requireRenamesBetween(paths.generatorTmp, paths.inbox)

  const status = new Status(log)
  const changed = new Bell()
  const onChange = (): void => {
    status.progressed()
    changed.ring()
  }
  const announcer = new Announcer({ path: paths.parserSocket, log, onChange })
  // From here on this process owns the generator's directory.
  const report = () => ({
    ...status.report(),
    connected: announcer.connected,
    unsettled: announcer.files,
  })
  const health = await HealthServer.listen(paths.generatorSocket, report, log)
  try {
    const owner = processIdentity(process.pid)
    if (owner === undefined) throw new CountersinkError('IO_FAILED', '/proc cannot be read')
    const maker = new FileMaker()
    const spool = new Spool(paths, owner, maker)
    const progress = await Progress.open(paths.generatorState)
    if (progress.pending !== null) {
      await spool.finish(progress.pending)
      await progress.counted()
    }
    await progress.begin(config.seed, runId)
    const sweptFiles = await sweepLeftovers(paths)
    const { stream, nextNumber } = progress.state
    const leftovers = await Leftovers.find(paths.inbox, stream)
    log.notice('started', { stream, nextNumber, inInbox: leftovers.remaining, sweptFiles })
    announcer.start()
    return new GeneratorLoop({
      paths,
      config,
      status,
      announcer,
      health,
      progress,
      spool,
      leftovers,
      maker,
      changed,
    })
  } catch (error) {
    await health.close()
    throw error
  }
}

const RUN_ID = /^[\w.:-]{1,100}$/

function checkedRunId(runId: string | undefined): string {
  if (runId === undefined || runId === '') return randomUUID()
  if (RUN_ID.test(runId)) return runId
  throw new CountersinkError(
    'CONFIG_INVALID',
    `COUNTERSINK_RUN_ID must be 1 to 100 letters, digits or any of _.:-; got ${JSON.stringify(runId)}`,
  )
}
