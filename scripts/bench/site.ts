import { link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DatabaseAddress,
  databaseAddress,
  readTotals,
  Session,
} from '../../parser/ledger/index.ts'
import { archiveDirectories } from '../../shared/archive.ts'
import { type Config, readConfig } from '../../shared/config.ts'
import { hasCode } from '../../shared/errors.ts'
import { formatManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths, statePaths } from '../../shared/paths.ts'
import type { ParserHealth, Settled } from '../../shared/protocol.ts'
import { askOnce, type Channel, openChannel } from '../../shared/socket/index.ts'
import type { Terms } from '../../shared/terms.ts'
import { startPrivateMariadb } from '../mariadb/index.ts'
import { type Build, parserCommand, THIS_BUILD } from './builds.ts'
import type { Piece } from './data/cut-file.ts'
import type { KnownFile } from './data/make-file.ts'
import { PairsFingerprint } from './pairs-fingerprint.ts'
import { cpuSeconds } from './process-cpu.ts'
import { type Running, startProgram } from './programs.ts'
import { mustEqual } from './row.ts'
import { until } from './until.ts'
import type { Workspace } from './workspace.ts'

/**
 * A state directory of its own, as `countersink up` would make it, with the private MariaDB running
 * in it. The parser that works on it is the built one, with its defaults.
 */
export class Site {
  readonly paths: StatePaths
  readonly env: Readonly<Record<string, string>>
  readonly config: Config
  readonly address: DatabaseAddress
  readonly #build: Build
  readonly #workspace: Workspace
  #stopServer: (() => Promise<void>) | undefined
  #serverPid = 0
  #parser: Running | undefined

  private constructor(workspace: Workspace, env: Readonly<Record<string, string>>, build: Build) {
    this.#build = build
    this.#workspace = workspace
    this.paths = statePaths(workspace.path('site'))
    this.env = env
    this.config = readConfig(env)
    this.address = databaseAddress(this.config, this.paths)
  }

  static async make(
    workspace: Workspace,
    env: Readonly<Record<string, string>> = {},
    build: Build = THIS_BUILD,
  ): Promise<Site> {
    const site = new Site(workspace, env, build)
    await mkdir(site.paths.inbox, { recursive: true, mode: 0o700 })
    await site.startServer()
    return site
  }

  /** Another state directory, whose parser counts into this site's database. */
  async neighbour(): Promise<Site> {
    const url = `mariadb://root@localhost/countersink?socketPath=${this.paths.mariadbSocket}`
    const env = { ...this.env, COUNTERSINK_DATABASE_URL: url }
    const site = new Site(this.#workspace, env, this.#build)
    await mkdir(site.paths.inbox, { recursive: true, mode: 0o700 })
    return site
  }

  async startServer(): Promise<void> {
    const { mariadb, mariadbSocket, mariadbPid, log } = this.paths
    const server = await startPrivateMariadb({
      dataDir: mariadb,
      socketPath: mariadbSocket,
      pidPath: mariadbPid,
      logPath: join(log, 'mariadb.log'),
    })
    this.#stopServer = this.#workspace.whenRemoved(() => server.stop())
    this.#serverPid = server.pid
  }

  get serverPid(): number {
    return this.#serverPid
  }

  /** Processor seconds that the server has taken since it was started. */
  serverCpuSeconds(): number {
    return cpuSeconds(this.#serverPid)
  }

  async stopServer(): Promise<void> {
    await this.#stopServer?.()
    this.#stopServer = undefined
  }

  async withSession<T>(use: (session: Session) => Promise<T>): Promise<T> {
    const session = await Session.open(this.address)
    try {
      return await use(session)
    } finally {
      await session.close()
    }
  }

  /** The parser, once it counts. @throws Error with its last words when it ends instead. */
  async startParser(pollMs = 20): Promise<Running> {
    const parser = startProgram(
      this.#workspace,
      await parserCommand(this.#build, this.paths),
      this.env,
    )
    this.#parser = parser
    const isReady = async (): Promise<true | undefined> => {
      this.throwIfEnded()
      const health = await this.health()
      return health?.pid === parser.pid && health.state === 'running' ? true : undefined
    }
    await until('the parser is ready', isReady, { pollMs })
    return parser
  }

  /** @throws Error with the parser's last words if it has ended, which nobody asked it to. */
  throwIfEnded(): void {
    if (this.#parser === undefined || this.#parser.isRunning()) return
    throw new Error(`the parser ended: ${this.#parser.output()}`)
  }

  /** undefined: no parser answers. */
  async health(): Promise<ParserHealth | undefined> {
    try {
      return await askOnce(this.paths.parserSocket, async channel => {
        const { health } = await channel.request<'pong'>({ type: 'ping' })
        return health as ParserHealth
      })
    } catch (error) {
      if (hasCode(error, 'CHANNEL_CLOSED', 'FRAME_TOO_SLOW', 'ECONNRESET', 'EPIPE'))
        return undefined
      throw error
    }
  }

  /** Waits until so many files were counted and nothing is queued. @throws Error if one was not. */
  async untilApplied(files: number, withinMs: number): Promise<void> {
    await until(
      `${files} files are applied`,
      async () => {
        this.throwIfEnded()
        const health = await this.health()
        if (health === undefined) return undefined
        const { applied, duplicate, quarantined } = health.ever
        if (duplicate + quarantined > 0) throw new Error(`${duplicate + quarantined} not applied`)
        return applied >= files && health.queue.files === 0 ? true : undefined
      },
      { withinMs },
    )
  }

  /** Puts a known file into the inbox under this name, its manifest before it; a second name of it. */
  async drop(file: KnownFile, name: string, terms?: Terms): Promise<void> {
    const { sizeBytes, sha256, lines, amount } = file
    const manifest = join(this.paths.inbox, `${name}${MANIFEST_SUFFIX}`)
    await writeFile(
      `${manifest}.tmp`,
      formatManifest({
        ...{ sizeBytes, sha256, lines, amount, disposable: false },
        ...(terms && { terms }),
      }),
    )
    await rename(`${manifest}.tmp`, manifest)
    await link(file.path, join(this.paths.inbox, name))
  }

  /** Puts a piece into the inbox as the generator does: the manifest, then the data. */
  async publish({ name, path, hasManifest }: Piece): Promise<void> {
    const to = join(this.paths.inbox, name)
    if (hasManifest) await rename(`${path}${MANIFEST_SUFFIX}`, `${to}${MANIFEST_SUFFIX}`)
    await rename(path, to)
  }

  /** Archived files are deleted by nobody else. */
  async emptyArchive(): Promise<void> {
    for await (const day of archiveDirectories(this.paths.archive)) {
      const directory = join(this.paths.archive, day)
      for (const entry of await readdir(directory, { withFileTypes: true })) {
        if (entry.isFile()) await rm(join(directory, entry.name))
      }
    }
  }

  /** @throws WrongResult unless the totals are these pairs and no others. */
  async checkTotals(expected: { readonly pairs: number; readonly text: string }): Promise<void> {
    const found = await this.withSession(async session => {
      const fingerprint = new PairsFingerprint()
      for await (const { id, amount } of readTotals(session, this.config)) {
        fingerprint.add(
          Number(id & 0xffff_ffffn),
          Number(id >> 32n),
          Number(amount & 0xffff_ffffn),
          Number(amount >> 32n),
        )
      }
      return fingerprint
    })
    mustEqual('rows of the totals', found.pairs, expected.pairs)
    mustEqual('the totals', found.text, expected.text)
  }
}

/** Somebody who announces files and is told what became of them. */
export class Announcer {
  readonly #channel: Channel
  readonly #waiters = new Map<string, (settled: Settled) => void>()
  settled = 0
  /** Files that were not counted, or refused. */
  readonly objections: string[] = []

  private constructor(channel: Channel) {
    this.#channel = channel
  }

  static async connect(site: Site): Promise<Announcer> {
    let announcer: Announcer | undefined
    const channel = await openChannel(site.paths.parserSocket, 'generator', {
      onMessage: message => {
        if (message.type === 'settled') announcer?.hear(message)
      },
    })
    announcer = new Announcer(channel)
    return announcer
  }

  hear(settled: Settled): void {
    this.settled += 1
    if (settled.outcome !== 'applied') this.objections.push(`${settled.name}: ${settled.outcome}`)
    this.#waiters.get(settled.name)?.(settled)
  }

  /** Resolves with the durable acknowledgement. @throws Error when it is none. */
  async announce(name: string, file: { sizeBytes: number; sha256: string }): Promise<void> {
    const { sizeBytes, sha256 } = file
    const ack = await this.#channel.request<'ack'>({ type: 'announce', name, sizeBytes, sha256 })
    if (ack.outcome !== 'accepted') {
      throw new Error(`${name} was answered ${ack.outcome}: ${ack.reason ?? 'no reason'}`)
    }
  }

  /** Resolves when the file of this name is settled; to be called before it is announced. */
  outcomeOf(name: string): Promise<Settled> {
    return new Promise(resolve => this.#waiters.set(name, resolve))
  }

  close(): void {
    this.#channel.close()
  }
}
