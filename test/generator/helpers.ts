import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Config, readConfig } from '../../shared/config.ts'
import { type StatePaths, statePaths } from '../../shared/paths.ts'
import type { AckOutcome, Announce, GeneratorHealth, Hello } from '../../shared/protocol.ts'
import type { Channel } from '../../shared/socket/channel.ts'
import { ChannelServer } from '../../shared/socket/channel-server.ts'
import { askOnce } from '../../shared/socket/connecting.ts'
import { spawnNode } from '../helpers/processes.ts'
import { BUILT } from '../helpers/root.ts'

/** The part of a tap test that the helpers need. */
export interface Teardown {
  teardown(run: () => void | Promise<void>): void
}

/** A short path: socket paths are limited, and tap's own fixtures lie deep. */
export function stateDirectory(t: Teardown): StatePaths {
  const dir = mkdtempSync(join(tmpdir(), 'cg-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const paths = statePaths(dir)
  for (const path of [paths.generatorTmp, paths.inbox, paths.work, paths.run]) {
    mkdirSync(path, { recursive: true })
  }
  return paths
}

/** The value of `probe` once it is not undefined or false; fails after `withinMs`. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 20_000,
): Promise<T> {
  const endMs = Date.now() + withinMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (Date.now() > endMs) throw new Error(`${what}: not within ${withinMs} ms`)
    await sleep(5)
  }
}

/** Small files of a fixed seed, unless said otherwise. */
export const SMALL_FILES = {
  COUNTERSINK_FILE_SIZE: '1KiB-8KiB',
  COUNTERSINK_CONSUMERS: '100',
  COUNTERSINK_RESERVE: '0',
  COUNTERSINK_SEED: '7',
}

export function smallConfig(overrides: Readonly<Record<string, string>> = {}): Config {
  return readConfig({ ...SMALL_FILES, ...overrides })
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly log: string
}

export interface Process {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  log(): string
}

const MAIN = `${BUILT}generator/main.js`

/** The built generator as a process of its own; killed at the end of the test. */
export function startProcess(
  t: Teardown,
  paths: StatePaths,
  env: Readonly<Record<string, string>> = {},
): Process {
  const child = spawnNode([MAIN, '--dir', paths.dir], {
    env: { PATH: process.env.PATH, ...SMALL_FILES, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    log += text
  })
  const ended = new Promise<Ended>(resolve => {
    child.once('close', (code, signal) => resolve({ code, signal, log }))
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { child, ended, log: () => log }
}

/** What an independent reader makes of a file's bytes. */
export function readRecords(bytes: Buffer): {
  sizeBytes: number
  sha256: string
  lines: number
  amount: bigint
  ids: number[]
} {
  const lines = bytes.toString('latin1').split('\n')
  if (lines.pop() !== '') throw new Error('the last line has no end')
  const ids: number[] = []
  let amount = 0n
  for (const line of lines) {
    const match = /^([1-9]\d{0,12}) ([1-9]\d{0,6})$/.exec(line)
    if (match === null) throw new Error(`not a record: ${JSON.stringify(line)}`)
    ids.push(Number(match[1]))
    amount += BigInt(match[2] ?? '')
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { sizeBytes: bytes.length, sha256, lines: lines.length, amount, ids }
}

/** Data files of the generator in a directory, read independently of it, by name. */
export function readFiles(directory: string) {
  return readdirSync(directory)
    .filter(name => name.endsWith('.txt'))
    .sort()
    .map(name => ({ name, ...readRecords(readFileSync(join(directory, name))) }))
}

/** The sums that the generator's control totals must equal. */
export function sumFiles(files: readonly ReturnType<typeof readRecords>[]) {
  return {
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    lines: files.reduce((sum, file) => sum + file.lines, 0),
    amount: files.reduce((sum, file) => sum + file.amount, 0n),
  }
}

/** How a generator at `paths` is; undefined when none answers. */
export function ping(paths: StatePaths): Promise<GeneratorHealth | undefined> {
  return askOnce(paths.generatorSocket, async channel => {
    const { health } = await channel.request<'pong'>({ type: 'ping' })
    return health as GeneratorHealth
  })
}

export interface FakeParser {
  /** Everything announced so far, repetitions included. */
  readonly announced: Announce[]
  readonly hellos: Hello[]
  readonly unanswered: () => number
  /** Nobody is connected, and all that was announced has been dealt with. */
  readonly idle: () => boolean
  ack(announce: Announce, outcome: AckOutcome, reason?: string): void
  settle(name: string, outcome?: 'applied' | 'duplicate' | 'quarantined'): void
  /** Ends all connections; it goes on listening. */
  hangUp(): void
  close(): Promise<void>
}

/**
 * A parser that does as `script` says with each announcement. Without one it takes each file out of
 * the inbox, acknowledges and settles it.
 */
export async function fakeParser(
  t: Teardown,
  paths: StatePaths,
  script: (announce: Announce, parser: FakeParser) => void | Promise<void> = consume(paths),
): Promise<FakeParser> {
  const channels = new Set<Channel>()
  const askers = new Map<Announce, Channel>()
  let scriptsRunning = 0
  const parser: FakeParser = {
    announced: [],
    hellos: [],
    unanswered: () => askers.size,
    idle: () => channels.size === 0 && scriptsRunning === 0,
    ack(announce, outcome, reason) {
      askers.get(announce)?.send({
        type: 'ack',
        id: announce.id,
        outcome,
        ...(reason === undefined ? {} : { reason }),
      })
      askers.delete(announce)
    },
    settle(name, outcome = 'applied') {
      const sha256 = parser.announced.find(one => one.name === name)?.sha256 ?? '00'.repeat(32)
      for (const channel of channels) channel.send({ type: 'settled', name, sha256, outcome })
    },
    hangUp() {
      for (const channel of channels) channel.close()
    },
    close: () => server.close(),
  }
  const server = await ChannelServer.listen(paths.parserSocket, 'parser', {
    onOpen(channel, hello) {
      channels.add(channel)
      parser.hellos.push(hello)
    },
    onMessage(message, channel) {
      if (message.type !== 'announce') return
      parser.announced.push(message)
      askers.set(message, channel)
      scriptsRunning += 1
      void Promise.resolve(script(message, parser)).finally(() => {
        scriptsRunning -= 1
      })
    },
    onClose(channel) {
      channels.delete(channel)
      for (const [announce, asker] of askers) if (asker === channel) askers.delete(announce)
    },
  })
  t.teardown(() => server.close())
  return parser
}

/** Takes a file into work/, as the parser does, so that the sums can be made there. */
function consume(paths: StatePaths) {
  return async (announce: Announce, parser: FakeParser): Promise<void> => {
    const from = join(paths.inbox, announce.name)
    if (existsSync(from)) {
      await rm(`${from}.manifest.json`)
      await rename(from, join(paths.work, announce.name))
    }
    parser.ack(announce, 'accepted')
    parser.settle(announce.name)
  }
}
