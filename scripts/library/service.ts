import { existsSync, statSync } from 'node:fs'
import { type Config, configOf } from '../../shared/config.ts'
import { CountersinkError, describeError, toError } from '../../shared/errors.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import {
  type Asking,
  cannot,
  refuseStrangeDirectory,
  refuseWhatIsDenied,
} from '../terminal/index.ts'
import type { ServiceOptions } from './types.ts'

/** The service that a program asks. */
export interface Service {
  readonly paths: StatePaths
  readonly config: Config
  readonly asking: Asking
}

/**
 * Runs `use` with the service, and sees to it that whatever is thrown is a CountersinkError.
 *
 * A command that root types becomes the directory's owner; a program cannot be asked to, so root is refused in a
 * directory of somebody's, where the service could not read what it makes.
 */
export async function withService<R>(
  options: ServiceOptions,
  use: (service: Service) => Promise<R>,
): Promise<R> {
  try {
    return await use(serviceOf(options))
  } catch (error) {
    throw asOurs(error, options.signal)
  }
}

export function serviceOf({ stateDir, env = {}, signal, onNotice }: ServiceOptions): Service {
  signal?.throwIfAborted()
  if (typeof stateDir !== 'string' || stateDir === '') {
    throw new CountersinkError(
      'USAGE',
      `stateDir must name a directory, got ${JSON.stringify(stateDir)}`,
    )
  }
  const paths = statePaths(stateDir)
  refuseWhatIsDenied(paths)
  const config = configOf(paths.dir, env)
  refuseStrangeDirectory(paths)
  refuseRoot(paths.dir)
  const notice = onNotice ?? (() => {})
  return { paths, config, asking: { env, aside: notice, meanwhile: notice, signal } }
}

/** Giving up is told as such, whatever it has interrupted. */
export function asOurs(thrown: unknown, signal: AbortSignal | undefined): CountersinkError {
  if (signal?.aborted) {
    return new CountersinkError('STOPPED', 'it was given up', { cause: signal.reason })
  }
  if (thrown instanceof CountersinkError) return thrown
  return new CountersinkError('STOPPED', `it cannot be answered: ${describeError(thrown)}`, {
    cause: toError(thrown),
  })
}

function refuseRoot(dir: string): void {
  if (process.geteuid?.() !== 0 || !existsSync(dir)) return
  const { uid } = statSync(dir)
  if (uid === 0) return
  throw cannot(
    `${dir} belongs to the user with id ${uid}, and this program is root's`,
    'Run it as the user that the service runs as.',
  )
}
