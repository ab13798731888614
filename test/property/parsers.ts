import { setTimeout as sleep } from 'node:timers/promises'
import { HistoryFailed } from './life.ts'
import { runCommand, type SpawnedProgram, spawnParser } from './parser-process.ts'
import type { HistorySite } from './site.ts'

const POLL_MS = 20

/** The parsers of some hosts, each followed by another one as soon as it dies, and what all of them say. */
export class Parsers {
  readonly #sites: readonly HistorySite[]
  readonly #parsers: (SpawnedProgram | undefined)[]
  /** Where one after the other is killed; from then on none is. */
  readonly #kills: string[]
  readonly #stepMs: number
  #env: Readonly<Record<string, string>>
  #isOver = false
  points = 0
  log = ''

  constructor(
    sites: readonly HistorySite[],
    kills: readonly string[],
    options: { readonly stepMs: number; readonly env?: Readonly<Record<string, string>> },
  ) {
    this.#sites = sites
    this.#kills = [...kills]
    this.#stepMs = options.stepMs
    this.#env = options.env ?? {}
    this.#parsers = sites.map(() => undefined)
    for (const host of sites.keys()) this.#spawn(host)
  }

  /** All of them go on with other settings. */
  async restart(env: Readonly<Record<string, string>>): Promise<void> {
    this.#env = { ...this.#env, ...env }
    const before = [...this.#parsers]
    for (const parser of before) parser?.signal('SIGTERM')
    await this.until('all parsers were restarted', async () =>
      before.every((parser, host) => this.#parsers[host] !== parser),
    )
  }

  /** At whatever it does. */
  kill(host: number): void {
    this.#parsers[host]?.signal('SIGKILL')
  }

  async end(): Promise<void> {
    this.#isOver = true
    for (const parser of this.#parsers) {
      if (parser !== undefined && !parser.ended()) parser.signal('SIGKILL')
    }
    while (this.#parsers.some(parser => parser?.ended() === undefined)) await sleep(POLL_MS)
    for (const parser of this.#parsers) this.log += `--- parser:\n${parser?.log()}`
  }

  /** A command of the command line, with the settings of now. */
  run(host: number, command: string, ...args: string[]) {
    const site = this.#sites[host]!
    return runCommand({ ...site, env: { ...site.env, ...this.#env } }, command, ...args)
  }

  /** @throws HistoryFailed */
  async until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + this.#stepMs
    for (;;) {
      const found = await look()
      if (found !== undefined && found !== false) return found
      if (performance.now() > deadline) {
        throw new HistoryFailed(`not within ${this.#stepMs} ms: ${what}`)
      }
      await sleep(POLL_MS)
    }
  }

  #spawn(host: number): void {
    const site = this.#sites[host]!
    const parser = spawnParser(
      { ...site, env: { ...site.env, ...this.#env } },
      this.#kills.shift(),
      () => {
        const ended = parser.ended()
        if (ended === undefined || this.#isOver || this.#parsers[host] !== parser) return
        if (ended.signal === 'SIGKILL') this.points += 1
        else this.log += `--- a parser ended with ${ended.code}\n`
        this.log += `--- parser:\n${parser.log()}`
        this.#spawn(host)
      },
    )
    this.#parsers[host] = parser
  }
}
