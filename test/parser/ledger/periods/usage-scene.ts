import type { Test } from 'tap'
import type { OrderRequest } from '../../../../parser/ledger/asking/orders.ts'
import { orderOf } from '../../../../parser/ledger/asking/orders.ts'
import type { BatchFile } from '../../../../parser/ledger/batch.ts'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { chunkTools } from '../../../../parser/ledger/periods/chunk.ts'
import { hourSeed } from '../../../../parser/ledger/periods/hour-seed.ts'
import { LeftOut } from '../../../../parser/ledger/periods/left-out.ts'
import { keepUp, type UpkeepOptions } from '../../../../parser/ledger/periods/upkeep.ts'
import { type BlockRow, blockOf } from '../../../../parser/ledger/recording/blocks.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import type { DatabaseAddress } from '../../../../parser/ledger/way-in.ts'
import { unpackPlainly } from '../../../../parser/sums/block-reference.ts'
import { type ClosingScene, closingScene } from '../closing-scene.ts'
import { countOptionsOf } from '../count-options.ts'
import type { Pairs } from '../helpers.ts'

// Usage by time, kept as whoever counts does it, beside a model that adds up the plainest way.

/** Amounts by period and consumer. */
export type Periods = ReadonlyMap<string, ReadonlyMap<bigint, bigint>>

export interface Usage {
  readonly hour: Periods
  readonly day: Periods
  readonly month: Periods
}

export interface UsageScene extends ClosingScene {
  readonly leftOut: LeftOut
  used(pairs: Pairs, usedAt: string, facts?: Partial<BatchFile>): Promise<BatchFile>
  correct(kind: 'undo' | 'redo', file: BatchFile): Promise<void>
  /** Brings all of it to its periods. */
  roll(
    more?: Partial<UpkeepOptions> & { readonly as?: Session; readonly timeZone?: string },
  ): Promise<'done' | 'later'>
  /** Part by part. */
  parts(
    more?: Partial<UpkeepOptions> & { readonly as?: Session; readonly timeZone?: string },
  ): Promise<AsyncGenerator<void, 'done' | 'later'>>
  /** Up to the first chunk of a roll-up of several. */
  rollPartly(more?: Parameters<UsageScene['parts']>[0]): Promise<void>
  usage(): Promise<Usage>
  /** All agrees with what the files tell, by this calendar, and the proof with all of it. */
  agrees(t: Test, dayOf?: (usedAt: string) => string): Promise<void>
}

export async function usageScene(
  t: Test,
  address: DatabaseAddress,
  { chunkPairs = 3 }: { chunkPairs?: number } = {},
): Promise<UsageScene> {
  const scene = await closingScene(t, address, { chunkPairs })
  const { session, config, uuid } = scene
  const names = ledgerNames(config)
  const files: { file: BatchFile; pairs: Pairs; usedAt: string; isCounted: boolean }[] = []
  const leftOut = new LeftOut()
  const s: UsageScene = {
    leftOut,
    ...scene,
    async used(pairs, usedAt, facts = {}) {
      const file = await scene.counted(pairs, {
        ...facts,
        terms: { ...facts.terms, usedAtMs: Date.parse(usedAt) },
      })
      files.push({ file, pairs, usedAt, isCounted: true })
      return file
    },
    async correct(kind, file) {
      const row = (await scene.ledger.find(file.sha256))!
      const request: OrderRequest = orderOf(kind, uuid, row, `${kind} ${row.postings}`)
      await scene.ask(request)
      const kinds = await scene.carryOut()
      if (kind === 'redo') {
        const [again] = await scene.ledger.counter.waiting(9)
        if (again !== undefined) {
          const { newBatchId } = await import('../../../../parser/ledger/batch.ts')
          await scene.ledger.counter.countStaged({ id: newBatchId(), files: [again] })
        }
      }
      t.ok(kinds.length > 0)
      const known = files.find(one => one.file === file)!
      known.isCounted = kind === 'redo'
    },
    async parts({ as = session, timeZone = '', ...more } = {}) {
      const options = await countOptionsOf({
        ...{ ...scene, session: as },
        ledger: { open: async () => ({ ...IDENTITY, uuid }) } as never,
      })
      return keepUp(as, {
        ...options,
        tools: () => chunkTools(names, options.kernel),
        ...{ usage: 'auto', rollUps: 'all' },
        wantedZone: async there => timeZone || there || 'UTC',
        keeping: { hour: 'forever', day: 'forever', month: 'forever' },
        leftOut,
        ...more,
      })
    },
    async roll(more) {
      // The scene's parser goes on counting as if it had never been away.
      const [lease] = await session.query<{ epoch: bigint }>('SELECT epoch FROM countersink_lease')
      const parts = await s.parts(more)
      let step = await parts.next()
      while (step.done !== true) step = await parts.next()
      await session.execute('UPDATE countersink_lease SET epoch = ?', [lease!.epoch])
      return step.value
    },
    async rollPartly(more) {
      const parts = await s.parts(more)
      for (;;) {
        t.not((await parts.next()).done, true)
        const moved = await session.query(
          "SELECT 1 FROM countersink_rollup WHERE state = 'applying' AND cursor_id IS NOT NULL",
        )
        if (moved.length > 0) return
      }
    },
    usage: () => readUsage(session),
    async agrees(t, dayOf = usedAt => new Date(usedAt).toISOString().slice(0, 10)) {
      const expected = { hour: new Map(), day: new Map(), month: new Map() }
      for (const { pairs, usedAt, isCounted } of files) {
        if (!isCounted) continue
        const utc = new Date(usedAt).toISOString()
        const day = dayOf(usedAt)
        add(expected.hour, `${utc.slice(0, 10)} ${utc.slice(11, 13)}:00:00`, pairs)
        add(expected.day, day, pairs)
        add(expected.month, `${day.slice(0, 7)}-01`, pairs)
      }
      t.same(plain(await s.usage()), plain(expected))
      await s.proven(t)
    },
  }
  return s
}

const IDENTITY = { range: { idMax: 2n ** 64n - 1n, amountMax: 2n ** 64n - 1n }, warnings: [] }

function add(periods: Map<string, Map<bigint, bigint>>, period: string, pairs: Pairs): void {
  const of = periods.get(period) ?? new Map<bigint, bigint>()
  for (const [id, amount] of pairs) of.set(id, (of.get(id) ?? 0n) + amount)
  periods.set(period, of)
}

/** What is zero is as good as nothing. */
function plain({ hour, day, month }: Usage) {
  const of = (periods: Periods) =>
    [...periods]
      .map(([period, amounts]) => [
        period,
        [...amounts].filter(([, amount]) => amount !== 0n).sort(([a], [b]) => (a < b ? -1 : 1)),
      ])
      .filter(([, amounts]) => amounts!.length > 0)
      .sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
      .map(([period, amounts]) => `${period}: ${JSON.stringify(amounts, asText)}`)
  return { hour: of(hour), day: of(day), month: of(month) }
}

function asText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

async function readUsage(session: Session): Promise<Usage> {
  const rowsOf = async (table: string): Promise<Periods> => {
    const periods = new Map<string, Map<bigint, bigint>>()
    for (const { period, id, amount } of await session.query<Row>(
      `SELECT period_start AS period, id, amount FROM countersink_${table}`,
    )) {
      add(periods, period, [[id, BigInt(amount)]])
    }
    return periods
  }
  const hour = new Map(await rowsOf('usage_wide')) as Map<string, Map<bigint, bigint>>
  for (const row of await session.query<BlockRow & { period: string }>(
    'SELECT period_start AS period, first_id AS firstId, last_id AS lastId, pairs, amount, crc, block FROM countersink_usage_block ORDER BY period_start, first_id',
  )) {
    const { ids, amounts } = unpackPlainly(hourSeed(row.period), blockOf(row))
    add(
      hour,
      row.period,
      [...ids].map((id, i) => [id, amounts[i]!] as const),
    )
  }
  return { hour, day: await rowsOf('usage_day'), month: await rowsOf('usage_month') }
}

interface Row {
  readonly period: string
  readonly id: bigint
  readonly amount: string
}
