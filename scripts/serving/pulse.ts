/** Answers the supervisor's pings, at a socket of this process's own. */

import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Log } from '../../shared/log.ts'
import type { ServingHealth } from '../../shared/protocol.ts'
import { ChannelServer } from '../../shared/socket/index.ts'

/** What only the process as a whole knows is added here. */
export type ServingReport = Omit<
  ServingHealth,
  'role' | 'pid' | 'uptimeSeconds' | 'eventLoopDelayMs' | 'lastProgressAtMs'
>

const RESOLUTION_MS = 10

export class Pulse {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  readonly #report: () => ServingReport
  readonly #startedAtMs = Date.now()

  constructor(report: () => ServingReport) {
    this.#report = report
    this.#delay.enable()
  }

  health(): ServingHealth {
    const { mean } = this.#delay
    this.#delay.reset()
    return {
      ...{ role: 'serving', ...this.#report(), pid: process.pid },
      uptimeSeconds: Math.round((Date.now() - this.#startedAtMs) / 1_000),
      // It makes nothing; that it answers is its progress.
      lastProgressAtMs: Date.now(),
      eventLoopDelayMs: Number.isNaN(mean) ? 0 : Math.max(0, mean / 1e6 - RESOLUTION_MS),
    }
  }

  /** Whoever serves on this state directory under a supervisor; there is one. */
  listen(path: string, log: Log): Promise<ChannelServer> {
    const onMessage: Parameters<typeof ChannelServer.listen>[2]['onMessage'] = (
      message,
      channel,
    ) => {
      if (message.type !== 'ping') return
      channel.send({ type: 'pong', id: message.id, health: this.health() })
    }
    return ChannelServer.listen(path, 'serving', { onMessage }, log)
  }

  close(): void {
    this.#delay.disable()
  }
}
