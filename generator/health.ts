import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, hasCode } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import type { GeneratorHealth } from '../shared/protocol.ts'
import { ChannelServer, openChannel, type ServerHandlers } from '../shared/socket/index.ts'

/** What the generator itself knows of its health. */
export type GeneratorReport = Omit<GeneratorHealth, 'pid' | 'uptimeSeconds' | 'eventLoopDelayMs'>

/** How often the event loop's delay is sampled. */
const RESOLUTION_MS = 10

/** Answers pings at the generator's socket. */
export class HealthServer {
  readonly #server: ChannelServer
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>

  private constructor(server: ChannelServer, delay: ReturnType<typeof monitorEventLoopDelay>) {
    this.#server = server
    this.#delay = delay
  }

  /** @throws CountersinkError ALREADY_RUNNING when a living generator listens at `path`. */
  static async listen(
    path: string,
    report: () => GeneratorReport,
    log: Log,
  ): Promise<HealthServer> {
    await refuseIfAnswered(path)
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    delay.enable()
    const onMessage: ServerHandlers['onMessage'] = (message, channel) => {
      if (message.type !== 'ping') return
      const health: GeneratorHealth = {
        ...report(),
        pid: process.pid,
        uptimeSeconds: Math.round(process.uptime()),
        eventLoopDelayMs: meanDelayMs(delay.mean),
      }
      delay.reset()
      channel.send({ type: 'pong', id: message.id, health })
    }
    const server = await ChannelServer.listen(path, 'generator', { onMessage }, log)
    return new HealthServer(server, delay)
  }

  async close(): Promise<void> {
    this.#delay.disable()
    await this.#server.close()
  }
}

/** The monitor measures from sample to sample, in nanoseconds; NaN before the first. */
function meanDelayMs(meanNs: number): number {
  return Number.isNaN(meanNs) ? 0 : Math.max(0, meanNs / 1e6 - RESOLUTION_MS)
}

/** How long a predecessor that hangs up on us is given to be gone. */
const LEAVING_ATTEMPTS = 20
const LEAVING_PAUSE_MS = 100

async function refuseIfAnswered(path: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const channel = await openChannel(path, 'client')
      channel.close()
    } catch (cause) {
      if (hasCode(cause, 'ENOENT', 'ECONNREFUSED')) return
      const leaving = hasCode(cause, 'ECONNRESET', 'EPIPE', 'CHANNEL_CLOSED')
      if (leaving && attempt < LEAVING_ATTEMPTS) {
        await sleep(LEAVING_PAUSE_MS)
        continue
      }
      // It accepts connections and says nothing: stopped by a debugger, or another program.
      throw alreadyRunning(path, cause)
    }
    throw alreadyRunning(path)
  }
}

function alreadyRunning(path: string, cause?: unknown): CountersinkError {
  return new CountersinkError('ALREADY_RUNNING', `a generator listens at ${path} already`, {
    cause,
    advice: 'Stop it first, or choose another state directory (--dir).',
  })
}
