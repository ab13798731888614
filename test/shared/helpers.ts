import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GeneratorHealth } from '../../shared/protocol.ts'
import { decodePayload, encodeFrame, FrameSplitter } from '../../shared/socket/frames.ts'
import { BUILT } from '../helpers/root.ts'

/** The part of a tap test that the helpers need. */
export interface Teardown {
  teardown(run: () => unknown): void
}

/** A short path, because socket paths are limited; gone at the end of the test. */
export function tempDir(t: Teardown): string {
  const dir = mkdtempSync(join(tmpdir(), 'cu-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** The value of `probe` once it is not undefined or false; fails after `withinMs`. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

/** The outcome of `work`, or a failure when it has none in time: for what might hang for good. */
export function within<T>(what: string, work: Promise<T>, ms = 60_000): Promise<T> {
  const abort = new AbortController()
  const late = sleep(ms, undefined, { signal: abort.signal }).then(() => {
    throw new Error(`not within ${ms} ms: ${what}`)
  })
  late.catch(() => {
    // It was cancelled because the work ended in time.
  })
  return Promise.race([work, late]).finally(() => abort.abort())
}

/** What `work` throws; fails when it does not. */
export async function failureOf(work: Promise<unknown> | (() => unknown)): Promise<Error> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  throw new Error('it was expected to fail')
}

export type Frame = Record<string, unknown>

/** A peer made of nothing but a socket: it can say anything, and keeps what it hears. */
export class RawPeer {
  readonly socket: Socket
  readonly frames: Frame[] = []
  isClosed = false
  readonly #splitter = new FrameSplitter()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', chunk => {
      for (const payload of this.#splitter.push(chunk)) {
        this.frames.push(decodePayload(payload) as Frame)
      }
    })
    socket.on('error', () => {
      // The other side may cut us off in the middle of a write: that is what is tested.
    })
    socket.on('close', () => {
      this.isClosed = true
    })
  }

  send(...messages: readonly object[]): void {
    for (const message of messages) this.socket.write(encodeFrame(message))
  }

  /** The next frame of this type, already come or still to come. */
  frame(type: string): Promise<Frame> {
    return eventually(`a frame ${type}`, () => this.frames.find(one => one.type === type))
  }

  closed(): Promise<true> {
    return eventually('the connection closes', () => this.isClosed && (true as const))
  }

  get errorCode(): unknown {
    return this.frames.find(one => one.type === 'error')?.code
  }
}

export const HELLO = {
  type: 'hello',
  protocol: 'countersink',
  version: 1,
  role: 'client',
  pid: 1,
} as const

/** As a generator says it. */
export const HEALTH: GeneratorHealth = {
  role: 'generator',
  pid: 1,
  state: 'writing',
  uptimeSeconds: 1,
  lastProgressAtMs: 1,
  eventLoopDelayMs: 0,
  connected: true,
  unsettled: 0,
  sinceStart: { files: 0, bytes: 0 },
}

export async function rawPeer(t: Teardown, path: string): Promise<RawPeer> {
  const peer = new RawPeer(connect(path))
  t.teardown(() => peer.socket.destroy())
  await eventually('the connection', () => !peer.socket.connecting)
  return peer
}

export interface Child {
  readonly process: ChildProcess
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  out(): string
  err(): string
  /** Waits until it has printed this. */
  says(text: string): Promise<void>
}

/**
 * Runs a module's text in a process of its own. `@/` in its imports is the project, built. It is
 * killed at the end of the test.
 */
export function runModule(
  t: Teardown,
  text: string,
  options: { env?: Readonly<Record<string, string>>; args?: readonly string[] } = {},
): Child {
  const module = text.replace(/'@\/([^']+)\.ts'/g, (_match, file) => `'${BUILT}${file}.js'`)
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', module, '--', ...(options.args ?? [])],
    { env: { PATH: process.env.PATH, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  child.stderr.on('data', chunk => {
    err += chunk
  })
  child.stdin.on('error', () => {
    // It ended without reading.
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(resolve => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    process: child,
    ended,
    out: () => out,
    err: () => err,
    says: async said => {
      await eventually(`the child says ${said}; it said ${out}${err}`, () => {
        if (out.includes(said)) return true
        if (child.exitCode !== null) throw new Error(`the child ended: ${out}${err}`)
        return false
      })
    },
  }
}
