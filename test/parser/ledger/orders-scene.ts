import type { Test } from 'tap'
import { askFor, orderOf, orderStanding } from '../../../parser/ledger/asking/orders.ts'
import { type BatchFile, newBatchId } from '../../../parser/ledger/batch.ts'
import { isFileOrder } from '../../../parser/ledger/counting/carry-out.ts'
import { membersOf } from '../../../parser/ledger/counting/signed-chunks.ts'
import type { Ledger } from '../../../parser/ledger/index.ts'
import { prove } from '../../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../../shared/limits.ts'
import { asTotals, fileOf, openLedgerScene, type Pairs, type Server } from './helpers.ts'

export const OLD: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [2n, 2n ** 53n + 1n],
  [3n, 7n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 62n],
]
export const NEW: Pairs = [
  [0n, 5n],
  [2n, 2n ** 53n],
  [3n, 9n],
  [4n, 0n],
  [5n, 11n],
  [U64_MAX, 2n ** 62n],
]
export const OTHER: Pairs = [
  [0n, 1n],
  [3n, 100n],
  [9n, 9n],
]

let names = 0
export const named = (pairs: Pairs, more: Partial<BatchFile> = {}): BatchFile => {
  names += 1
  return fileOf(pairs, { name: `f${names}`, workSequence: names, ...more })
}

export async function ordersScene(
  t: Test,
  server: Server,
  size = 2,
  onChunk: () => void = () => {},
) {
  const address = await server.database()
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: String(size), COUNTERSINK_TAKEOVER_MS: '400' }
  const base = await openLedgerScene(t, address, { env, onChunk })
  const { uuid } = await base.ledger.open()
  await base.ledger.takeOpening()
  const { session, ledger } = base
  const n = ledgerNames(base.config)
  const countAll = async (by: Ledger = ledger): Promise<void> => {
    await by.counter.takeLease()
    const files = await by.counter.waiting(99)
    if (files.length > 0) {
      t.same(await by.counter.countStaged({ id: newBatchId(), files }), { kind: 'applied' })
    }
  }
  return {
    ...base,
    address,
    countAll,
    async given(...files: readonly BatchFile[]) {
      t.ok(await base.record(files))
      await countAll()
    },
    row: async (file: BatchFile) => (await ledger.find(file.sha256))!,
    async ask(kind: 'undo' | 'redo', file: BatchFile, reason = 'wrong month') {
      const request = orderOf(kind, uuid, (await ledger.find(file.sha256))!, reason)
      await askFor(session, n, request)
      return request.id
    },
    standing: (id: Buffer) => orderStanding(session, n, id),
    /** As whoever counts does: what has begun, then what is asked for. */
    async carryOut(by: Ledger = ledger): Promise<string[]> {
      await by.counter.takeLease()
      const kinds: string[] = []
      for (const { id, kind } of await by.openBatches()) {
        const files = membersOf(await by.filesOf(id))
        kinds.push((await by.counter.goOn({ id, kind, files })).kind)
      }
      for (const order of (await by.counter.waitingOrders(9)).filter(isFileOrder)) {
        kinds.push((await by.counter.carryOut(order)).kind)
      }
      return kinds
    },
    async proven(): Promise<void> {
      const proof = await prove(session, base.config, {
        journal: [],
        consumers: { differencesMax: 5 },
      })
      t.same(proof.findings, [])
      t.match(proof.consumers, { differencesCount: 0, unreadableCount: 0 })
    },
    todo: (kind: string) =>
      session.query('SELECT file_sequence AS sequence FROM countersink_todo WHERE kind = ?', [
        kind,
      ]),
  }
}

/** Of several files together, with those consumers whose rows stay at zero. */
export function sums(...files: readonly Pairs[]): Record<string, string> {
  const all = new Map<bigint, bigint>()
  for (const [id, amount] of files.flat()) all.set(id, (all.get(id) ?? 0n) + amount)
  return asTotals([...all])
}
export const zeros = (pairs: Pairs): Pairs => pairs.map(([id]) => [id, 0n])
