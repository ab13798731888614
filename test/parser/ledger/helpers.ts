import { randomBytes } from 'node:crypto'
import { readTotals } from '../../../parser/ledger/asking/totals.ts'
import { amountOf, type Batch, type BatchFile, newBatchId } from '../../../parser/ledger/batch.ts'
import { Session } from '../../../parser/ledger/connection.ts'
import type { CountResult, StagedResult } from '../../../parser/ledger/counting/counter.ts'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import { Ledger } from '../../../parser/ledger/ledger.ts'
import type { DatabaseAddress } from '../../../parser/ledger/way-in.ts'
import type { Sums } from '../../../parser/sums/sums.ts'
import { startPrivateMariadb } from '../../../scripts/mariadb/private-mariadb.ts'
import { type Config, readConfig } from '../../../shared/config.ts'
import { type HostInUse, ParserEvents } from '../../../shared/events.ts'
import { type Teardown, tempDir } from '../../shared/helpers.ts'

/** A private server for one test file. Each test takes a database of its own from it. */
export interface Server {
  readonly dir: string
  readonly socketPath: string
  readonly admin: Session
  /** A new, empty database. */
  database(): Promise<DatabaseAddress>
}

export async function startServer(t: Teardown): Promise<Server> {
  const dir = tempDir(t)
  const server = await startPrivateMariadb({
    dataDir: `${dir}/d`,
    socketPath: `${dir}/r/s`,
    pidPath: `${dir}/r/p`,
    logPath: `${dir}/l`,
  })
  t.teardown(() => server.stop())
  const admin = await Session.open({ socketPath: server.socketPath })
  t.teardown(() => admin.close())
  let databases = 0
  return {
    dir,
    socketPath: server.socketPath,
    admin,
    async database() {
      databases += 1
      await admin.execute(`CREATE DATABASE d${databases}`)
      return addressOf(server.socketPath, `d${databases}`)
    },
  }
}

export function addressOf(socketPath: string, database: string): { readonly url: string } {
  return {
    url: `mariadb://root@localhost/${database}?socketPath=${encodeURIComponent(socketPath)}`,
  }
}

export async function openSession(t: Teardown, address: DatabaseAddress): Promise<Session> {
  const session = await Session.open(address)
  t.teardown(() => session.close())
  return session
}

export interface LedgerScene {
  readonly ledger: Ledger
  readonly session: Session
  readonly config: Config
  /** Why the database was away, each time. */
  readonly outages: string[]
  /** Which of several hosts were used. */
  readonly hosts: HostInUse[]
  /** As at the end of the parser. */
  readonly abort: AbortController
  totals(): Promise<Record<string, string>>
  rows(table: 'batch' | 'file' | 'posting' | 'sums' | 'todo' | 'sighting' | 'meta'): Promise<number>
  /** Their rows, when the sums of all of these are in the ledger; undefined: somebody has one. */
  record(files: readonly BatchFile[]): Promise<LedgerFile[] | undefined>
  /**
   * As a parser does that counts: what fits one transaction is counted in one, anything else is
   * recorded first.
   */
  count(batch: Batch): Promise<CountResult | StagedResult>
}

/** A ledger on a database, and a session beside it to look. */
export async function openLedgerScene(
  t: Teardown,
  address: DatabaseAddress,
  options: {
    env?: Record<string, string>
    instance?: Uint8Array
    paths?: { readonly timeZone: string }
    through?: DatabaseAddress | (() => DatabaseAddress)
    onBegun?: () => void
    onChunk?: () => void
  } = {},
): Promise<LedgerScene> {
  const config = readConfig(options.env ?? {})
  const through = options.through ?? address
  const abort = new AbortController()
  const hosts: HostInUse[] = []
  const outages: string[] = []
  const events = new ParserEvents()
  events.on('database', ({ awayBecause }) => {
    if (awayBecause !== undefined) outages.push(awayBecause)
  })
  events.on('host', host => hosts.push(host))
  events.on('begun', () => options.onBegun?.())
  events.on('chunk', () => options.onChunk?.())
  const ledger = new Ledger({
    config,
    address: typeof through === 'function' ? through : () => through,
    instance: options.instance ?? Buffer.alloc(16, 7),
    signal: abort.signal,
    events,
    ...(options.paths === undefined ? {} : { paths: options.paths }),
  })
  t.teardown(async () => {
    abort.abort()
    await ledger.close()
  })
  const session = await openSession(t, address)
  const record: LedgerScene['record'] = async files => {
    const results = await ledger.recorder.record(files, () => false)
    if (results.some(({ kind }) => kind === 'claimed')) return undefined
    const rows = await ledger.findAll(files.map(({ sha256 }) => sha256))
    return files.map(({ sha256 }) => rows.get(Buffer.from(sha256).toString('hex'))!)
  }
  /** Tried again as long as the lease can be taken anew, as after going over to another host. */
  async function holdingLease<R extends { kind: string }>(count: () => Promise<R>): Promise<R> {
    for (;;) {
      const result = await count()
      if (result.kind !== 'recorder' || !(await ledger.counter.takeLease())) return result
    }
  }
  return {
    ledger,
    session,
    record,
    async count(batch) {
      await ledger.counter.takeLease()
      if (batch.sums.pairs <= config.chunkPairsMax) {
        return holdingLease(() => ledger.counter.countWhole(batch))
      }
      const files = await record(batch.files)
      if (files === undefined) return { kind: 'claimed' }
      return holdingLease(() => ledger.counter.countStaged({ id: batch.id, files }))
    },
    config,
    outages,
    hosts,
    abort,
    async totals() {
      const found: Record<string, string> = {}
      for await (const { id, amount } of readTotals(session, config)) {
        found[String(id)] = String(amount)
      }
      return found
    },
    async rows(table) {
      const [row] = await session.query<{ n: bigint }>(
        `SELECT COUNT(*) AS n FROM ${config.tablePrefix}${table}`,
      )
      return Number(row?.n)
    },
  }
}

export type Pairs = readonly (readonly [id: bigint, amount: bigint])[]

/** @param beforeChunk is waited for before each chunk is handed over, from number 0 on. */
export function pairSource(
  pairs: Pairs,
  beforeChunk: (number: number) => unknown = () => {},
): Sums {
  const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    pairs: sorted.length,
    async *chunks(pairsMax, after) {
      const wanted = after == null ? sorted : sorted.filter(([id]) => id > after)
      for (let at = 0; at < wanted.length; at += pairsMax) {
        const some = wanted.slice(at, at + pairsMax)
        await beforeChunk(at / pairsMax)
        yield {
          ids: BigUint64Array.from(some, ([id]) => id),
          amounts: BigUint64Array.from(some, ([, amount]) => amount),
        }
      }
    },
    find: async id => sorted.find(([one]) => one === id)?.[1],
    close: async () => {},
  }
}

export function fileOf(pairs: Pairs, facts: Partial<BatchFile> = {}): BatchFile {
  const amounts = pairs.map(([, amount]) => amount)
  return {
    sha256: randomBytes(32),
    workSequence: 1,
    name: 'a.txt',
    sizeBytes: 100,
    lines: pairs.length,
    amount: amounts.reduce((sum, one) => sum + one, 0n),
    largestSum: amounts.reduce((most, one) => (one > most ? one : most), 0n),
    claimedAtMs: Date.UTC(2024, 1, 29, 23, 59, 59, 999),
    digestedAtMs: Date.UTC(2024, 2, 1, 0, 0, 0, 1),
    sums: pairSource(pairs),
    ...facts,
  }
}

export function batchOf(files: readonly BatchFile[], sums: Sums): Batch {
  return { id: newBatchId(), files, sums, amount: amountOf(files) }
}

export function batchFor(pairs: Pairs, facts: Partial<BatchFile> = {}): Batch {
  return batchOf([fileOf(pairs, facts)], pairSource(pairs))
}

/** Files of these pairs in one batch, their sums added up in the plainest way. */
export function batchOfAll(all: readonly Pairs[]): Batch {
  const sums = new Map<bigint, bigint>()
  for (const [id, amount] of all.flat()) sums.set(id, (sums.get(id) ?? 0n) + amount)
  return batchOf(
    all.map((pairs, i) => fileOf(pairs, { name: `f${i}`, workSequence: i + 1 })),
    pairSource([...sums]),
  )
}

/** Totals as `LedgerScene.totals` tells them. */
export function asTotals(pairs: Pairs, times = 1n): Record<string, string> {
  return Object.fromEntries(pairs.map(([id, amount]) => [String(id), String(amount * times)]))
}

export function databaseOf(address: DatabaseAddress): string {
  return 'url' in address ? new URL(address.url).pathname.slice(1) : ''
}
