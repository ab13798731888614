import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'
import type { BatchFile } from '../../parser/ledger/batch.ts'
import { newBatchId } from '../../parser/ledger/batch.ts'
import { U64_MAX } from '../../shared/limits.ts'
import {
  databaseOf,
  fileOf,
  openLedgerScene,
  type Pairs,
  type Server,
} from '../parser/ledger/helpers.ts'

// A batch of three files, into which somebody else puts what makes it impossible.

const CLIENT = `
  import { createConnection } from 'mariadb'
  const [socketPath, database, ...statements] = process.argv.slice(1)
  const connection = await createConnection({ socketPath, database, user: 'root' })
  for (const statement of statements) await connection.query(statement)
  await connection.end()`

interface Meanwhile {
  /** After so many chunks of the batch. */
  readonly behind: number
  /** Somebody else does this, before anything else happens here. */
  readonly done: readonly string[]
}

export async function retreatScene(
  t: Test,
  server: Server,
  files: readonly BatchFile[],
  meanwhile: Meanwhile[],
  size = 1,
  leaseMs = 60_000,
) {
  const address = await server.database()
  const database = databaseOf(address)
  let chunks = 0
  const run = (statements: readonly string[]): void => {
    const program = ['--input-type=module', '-e', CLIENT]
    execFileSync(process.execPath, [...program, server.socketPath, database, ...statements])
  }
  const base = await openLedgerScene(t, address, {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: String(size), COUNTERSINK_TAKEOVER_MS: String(leaseMs) },
    onChunk() {
      chunks += 1
      for (const { behind, done } of meanwhile) if (behind === chunks) run(done)
    },
  })
  await base.ledger.open()
  await base.session.execute('INSERT INTO consumption VALUES (0, 1)')
  await base.ledger.counter.takeLease()
  const recorded = (await base.record(files))!
  const { counter } = base.ledger
  return {
    ...base,
    id: newBatchId(),
    recorded,
    count: (id: Buffer) => counter.countStaged({ id, files: recorded }),
    /** Those that wait, as one batch. */
    async countOthers() {
      const files = await counter.waiting(99)
      return counter.countStaged({ id: newBatchId(), files })
    },
    async states() {
      const found = await base.ledger.findAll(files.map(({ sha256 }) => sha256))
      return files.map(({ sha256 }) => {
        const row = found.get(Buffer.from(sha256).toString('hex'))
        return row?.reason == null ? row?.state : `${row.state}: ${row.reason}`
      })
    },
    /** Totals above zero: rows that were made for nothing stay. */
    async sums() {
      return Object.fromEntries(
        Object.entries(await base.totals()).filter(([id, sum]) => id !== '0' && sum !== '0'),
      )
    },
  }
}

export const GOOD: Pairs = [1n, 2n, 3n, 4n, 5n].map(id => [id, id])
export const GUILTY: Pairs = [
  [2n, 100n],
  [4n, 2_000n],
]
export const ALSO_GOOD: Pairs = [
  [4n, 7n],
  [6n, 7n],
]
export const files = (): BatchFile[] =>
  [GOOD, GUILTY, ALSO_GOOD].map((pairs, i) =>
    fileOf(pairs, { workSequence: i + 1, name: `f${i}`, sha256: Buffer.alloc(32, i + 1) }),
  )
export const REST = { 1: '1', 2: '2', 3: '3', 4: '11', 5: '5', 6: '7' }

export const CHECK =
  'ALTER TABLE consumption ADD CONSTRAINT quota CHECK (resource_consumption < 1000 OR id <> 4)'
export const RAISE = `INSERT INTO consumption VALUES (4, ${U64_MAX - 500n})`
