/**
 * Serves what a service tells of itself, over HTTP and as a file of metrics. It reads, and changes nothing but
 * that file.
 *
 * - **starting**: it does not listen yet; under a supervisor it waits for a place that is taken, and says so.
 * - **serving**: it answers.
 * - **stopping**: nobody is let in any more; who is being answered is given a moment.
 *
 * Nothing is kept: a crash loses the answers that were under way.
 */

import type { Config } from '../../shared/config.ts'
import { describeError, hasCode } from '../../shared/errors.ts'
import { Bell } from '../../shared/handoff.ts'
import type { Service } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { parseServeAddress, type ServeAddress } from '../../shared/serve-address.ts'
import { readServeToken } from '../../shared/serve-token.ts'
import type { ChannelServer } from '../../shared/socket/index.ts'
import { Answering } from './answering.ts'
import { HttpDoor } from './http-door.ts'
import { metricsText } from './metrics/exposition.ts'
import { MetricsFile } from './metrics/metrics-file.ts'
import { readPage } from './page-files.ts'
import { Pulse } from './pulse.ts'
import { SharedAnswers } from './shared-answers.ts'
import { type Snapshot, takeSnapshot } from './snapshot.ts'

export interface ServingOptions {
  readonly paths: StatePaths
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  readonly log: Log
  /** It answers pings, and waits for what a person would be told at once. */
  readonly isSupervised: boolean
}

const SNAPSHOT_MS = 250
const AGAIN_MS = 2_000

export class Serving implements Service {
  readonly #options: ServingOptions
  readonly #pulse: Pulse
  readonly #answering: Answering
  readonly #metricsFile: MetricsFile | undefined
  readonly #abort = new AbortController()
  #token: string | undefined
  #door: HttpDoor | undefined
  #pings: ChannelServer | undefined
  #whyClosed: string | undefined
  #work: Promise<unknown> = Promise.resolve()
  #stopping: Promise<void> | undefined
  #end = (): void => {}

  readonly finished = new Promise<void>(resolve => {
    this.#end = resolve
  })

  /** @throws CountersinkError CONFIG_INVALID; without a supervisor also what `HttpDoor.open` throws. */
  static async start(options: ServingOptions): Promise<Serving> {
    const serving = new Serving(options)
    await serving.#begin()
    return serving
  }

  private constructor(options: ServingOptions) {
    const { paths, config, env, log } = options
    this.#options = options
    this.#token = readServeToken(config.serveTokenFile)
    this.#pulse = new Pulse(() => ({
      state: this.#state,
      requests: this.#answering.requests,
      ...(this.#door === undefined ? {} : { address: this.#door.where }),
      ...this.#reason(),
    }))
    const looks = new SharedAnswers<Snapshot>(SNAPSHOT_MS, 1)
    const snapshot = () =>
      looks.get('', () => takeSnapshot(paths, config, () => this.#pulse.health()))
    const timeZone = (): string => config.timeZone || 'UTC'
    const ground = { paths, env, snapshot, timeZone }
    this.#answering = new Answering({ ground, page: readPage(), log })
    if (config.metricsFile !== '') {
      const text = async () => metricsText(await snapshot())
      this.#metricsFile = new MetricsFile(config.metricsFile, text, log)
    }
  }

  /** Where it listens now. */
  get where(): string | undefined {
    return this.#door?.where
  }

  /** The password may be another one by now; one that cannot be read leaves that of before. */
  readTokenAgain(): void {
    const { config, log } = this.#options
    try {
      this.#token = readServeToken(config.serveTokenFile)
    } catch (error) {
      log.warn(`the password stays as it was: ${describeError(error)}`)
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #begin(): Promise<void> {
    const { paths, config, log, isSupervised } = this.#options
    const { signal } = this.#abort
    if (isSupervised) this.#pings = await this.#pulse.listen(paths.servingSocket, log)
    const address = parseServeAddress(config.serve)
    const opening = address === undefined ? Promise.resolve() : this.#open(address)
    if (!isSupervised) await opening
    const work = [opening, this.#metricsFile?.run(signal)]
    this.#work = Promise.all(work)
  }

  async #open(address: ServeAddress): Promise<void> {
    const { isSupervised, log } = this.#options
    const { signal } = this.#abort
    const untilStopped = new Bell()
    while (!signal.aborted) {
      try {
        this.#door = await HttpDoor.open(address, (request, response) => {
          void this.#answering.answer(request, response, { address, token: this.#token })
        })
        this.#whyClosed = undefined
        log.notice('serving', { at: this.#door.where })
        if (signal.aborted) await this.#door.close()
        return
      } catch (error) {
        if (!isSupervised || !hasCode(error, 'ALREADY_RUNNING', 'CONFIG_INVALID')) throw error
        const why = describeError(error)
        if (why !== this.#whyClosed) log.warn(why)
        this.#whyClosed = why
        await untilStopped.wait(signal, AGAIN_MS)
      }
    }
  }

  get #state(): 'starting' | 'serving' | 'stopping' {
    if (this.#stopping !== undefined) return 'stopping'
    const isOpen = this.#door !== undefined || this.#options.config.serve === ''
    return isOpen ? 'serving' : 'starting'
  }

  #reason(): { readonly reason?: string } {
    const reason = this.#whyClosed ?? this.#metricsFile?.trouble
    return reason === undefined ? {} : { reason }
  }

  async #stop(): Promise<void> {
    this.#abort.abort()
    await this.#work
    await this.#door?.close()
    await this.#pings?.close()
    this.#pulse.close()
    this.#end()
  }
}
