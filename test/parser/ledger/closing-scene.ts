import type { Test } from 'tap'
import { askFor, type OrderRequest, orderStanding } from '../../../parser/ledger/asking/orders.ts'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import { newBatchId } from '../../../parser/ledger/batch.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { membersOf } from '../../../parser/ledger/counting/signed-chunks.ts'
import type { Ledger } from '../../../parser/ledger/index.ts'
import {
  type ConsumerPosting,
  readConsumer,
} from '../../../parser/ledger/proving/consumer-account.ts'
import { type Proof, prove } from '../../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import type { DatabaseAddress } from '../../../parser/ledger/way-in.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { fileOf, type LedgerScene, openLedgerScene, openSession, type Pairs } from './helpers.ts'

// What empties the totals and what closes the books, asked for and carried out as a service does.

/** Sums of some consumers, of whom two have much. */
export const firstPairs = (much: bigint): Pairs => [
  [0n, 5n],
  [1n, 0n],
  [2n, much],
  [7n, 2n ** 53n + 1n],
  [9n, 1n],
  [2n ** 63n, 3n],
  [U64_MAX, much],
]
export const SECOND: Pairs = [
  [2n, 1n],
  [3n, 4n],
  [U64_MAX, 6n],
]

/** Totals that somebody else has made, with amounts that no files can have. */
export async function foreignTotals(
  t: Test,
  address: DatabaseAddress,
  { idType, isNullable = false, rows }: { idType: string; isNullable?: boolean; rows: string },
): Promise<Session> {
  const session = await openSession(t, address)
  await session.execute(
    `CREATE TABLE consumption (id ${idType} PRIMARY KEY, resource_consumption DECIMAL(30,0) ${isNullable ? 'NULL' : 'NOT NULL'})`,
  )
  await session.execute(`INSERT INTO consumption VALUES ${rows}`)
  return session
}

export interface ClosingScene extends LedgerScene {
  readonly address: DatabaseAddress
  readonly uuid: string
  /** Records and counts a file. */
  counted(pairs: Pairs, facts?: Partial<BatchFile>): Promise<BatchFile>
  ask(request: OrderRequest): Promise<void>
  /** As whoever counts does: what has begun, then what is asked for, until nothing is left to do. */
  carryOut(by?: Ledger): Promise<string[]>
  standing(request: OrderRequest): Promise<{ state: string; answer: string | null }>
  proof(): Promise<Proof>
  /** All agrees but for these totals. */
  proven(t: Test, differences?: number): Promise<void>
  account(id: bigint): Promise<{ opening: bigint | undefined; postings: ConsumerPosting[] }>
}

export async function closingScene(
  t: Test,
  address: DatabaseAddress,
  { chunkPairs = 3, onChunk = () => {} }: { chunkPairs?: number; onChunk?: () => void } = {},
): Promise<ClosingScene> {
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: String(chunkPairs), COUNTERSINK_TAKEOVER_MS: '400' }
  const base = await openLedgerScene(t, address, { env, onChunk })
  const { ledger, session, config } = base
  const { uuid } = await ledger.open()
  await ledger.takeOpening()
  const n = ledgerNames(config)
  const reader = await openSession(t, address)
  const proof = (): Promise<Proof> =>
    prove(reader, config, {
      journal: [],
      consumers: { differencesMax: 9, limits: { rowsMax: 4, straysMax: 3 } },
    })
  let files = 0
  return {
    ...base,
    address,
    uuid,
    proof,
    async counted(pairs, facts = {}) {
      files += 1
      const file = fileOf(pairs, { name: `f${files}`, workSequence: files, ...facts })
      const rows = (await base.record([file]))!
      await ledger.counter.takeLease()
      t.same(await ledger.counter.countStaged({ id: newBatchId(), files: rows }), {
        kind: 'applied',
      })
      return file
    },
    ask: request => askFor(session, n, request),
    standing: ({ id }) => orderStanding(session, n, id),
    async carryOut(by = ledger) {
      await by.counter.takeLease()
      const kinds: string[] = []
      for (const { id, kind } of await by.openBatches()) {
        kinds.push(
          (await by.counter.goOn({ id, kind, files: membersOf(await by.filesOf(id)) })).kind,
        )
      }
      for (const order of await by.counter.waitingOrders(9)) {
        let result = await by.counter.carryOut(order)
        while (result.kind === 'goes on') result = await by.counter.carryOut(order)
        kinds.push(result.kind)
      }
      return kinds
    },
    async proven(t, differences = 0) {
      const { findings, consumers } = await proof()
      t.same(differences === 0 ? findings : findings.filter(one => one.check !== 'totals'), [])
      t.match(consumers, { differencesCount: differences, unreadableCount: 0 })
    },
    account: id =>
      readConsumer(reader, config, id, async ({ opening, postings }) => {
        const all: ConsumerPosting[] = []
        for await (const one of postings) all.push(one)
        return { opening, postings: all }
      }),
  }
}
