import t from 'tap'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { Lease } from '../../../../parser/ledger/counting/lease.ts'
import { prove } from '../../../../parser/ledger/proving/verify.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import { hasCode } from '../../../../shared/errors.ts'
import { U64_MAX } from '../../../../shared/limits.ts'
import { seeded } from '../../../helpers/files.ts'
import { openLedgerScene, openSession, type Pairs, startServer } from '../helpers.ts'
import { usageScene } from './usage-scene.ts'

// Parsers that share a ledger take turns, also in the middle of a roll-up: each goes on from where the other
// one stood, and who has lost the lease moves nothing.

const server = await startServer(t)
t.setTimeout(180_000)
const ZONES = ['UTC', 'Europe/Berlin', 'Pacific/Kiritimati', 'America/Sao_Paulo']

type Parts = AsyncGenerator<void, 'done' | 'later'>

interface Holder {
  readonly session: Session
  readonly instance: Buffer
  parts: Parts | undefined
}

/** Everything that is moved under the lease, as it stands. */
async function standing(session: Session): Promise<unknown> {
  return Promise.all(
    ['rollup', 'usage', 'period', 'usage_block', 'usage_day', 'usage_month', 'posting'].map(table =>
      session.query(`CHECKSUM TABLE countersink_${table}`),
    ),
  )
}

/** It notices at the first thing that it would move, or finds that there is nothing. */
async function untilTooLate(parts: Parts): Promise<void> {
  try {
    while ((await parts.next()).done !== true);
  } catch (error) {
    if (!hasCode(error, 'LEASE_LOST')) throw error
  }
}

for (const seed of [1, 2, 3, 4]) {
  t.test(`in turn at every step, with another time zone in between, of seed ${seed}`, async t => {
    const below = seeded(seed)
    const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
    const names = ledgerNames(s.config)
    const holders: Holder[] = []
    for (const number of [1, 2]) {
      const session = await openSession(t, s.address)
      holders.push({ session, instance: Buffer.alloc(16, number), parts: undefined })
    }
    let [turns, midRollUp, midRezone, tooLate] = [0, 0, 0, 0]

    /** Until nothing is left to do, whoever's turn it is. */
    const goOn = async (timeZone: string): Promise<void> => {
      const [before] = await s.session.query<{ epoch: bigint }>(
        'SELECT epoch FROM countersink_lease',
      )
      for (let of = holders[0]!; ; ) {
        turns += 1
        await s.session.execute(
          'UPDATE countersink_lease SET until = UTC_TIMESTAMP(3) - INTERVAL 1 SECOND',
        )
        const { session, instance } = of
        const lease = new Lease({ names, instance, lengthMs: () => 60_000 })
        t.equal(await lease.take(session), true)
        const [open] = await s.session.query<{ rezonesTo: bigint | null; cursorId: bigint | null }>(
          `SELECT rezones_to AS rezonesTo, cursor_id AS cursorId FROM countersink_rollup
            WHERE state = 'applying'`,
        )
        if (open?.cursorId != null) {
          if (open.rezonesTo === null) midRollUp += 1
          else midRezone += 1
        }
        // As whoever keeps usage does it with another epoch: from the beginning.
        of.parts = await s.parts({
          ...{ as: session, lease, instance },
          ...{ timeZone, rowsMax: 1 + below(2) },
        })
        let step: IteratorResult<void, 'done' | 'later'> = { done: false, value: undefined }
        for (let left = 1 + below(4); left > 0 && step.done !== true; left -= 1) {
          step = await of.parts.next()
        }
        await s.proven(t)
        if (step.done === true) {
          t.equal(step.value, 'done')
          of.parts = undefined
          break
        }
        const other = holders.find(one => one !== of)!
        if (other.parts !== undefined) {
          const there = await standing(s.session)
          await untilTooLate(other.parts)
          t.same(await standing(s.session), there, 'who wakes up later moves nothing')
          other.parts = undefined
          tooLate += 1
        }
        // It may come back to who had it.
        if (below(4) > 0) of = other
      }
      await s.session.execute('UPDATE countersink_lease SET epoch = ?', [before!.epoch])
    }

    const files = []
    for (let round = 0; round < 4; round += 1) {
      for (let i = 0; i < 3; i += 1) {
        const usedAtMs = Date.UTC(2026, 9, 30, 20) + below(5) * 43_200_000 + below(7_200_000)
        const pairs = [0n, 1n, 2n, 7n, 2n ** 40n, U64_MAX]
          .filter(() => below(2) === 0)
          .map(id => [id, BigInt(below(1_000))] as const)
        files.push(await s.used(pairs, new Date(usedAtMs).toISOString()))
      }
      if (round > 0) await s.correct('undo', files.splice(below(files.length), 1)[0]!)
      const timeZone = ZONES[below(ZONES.length)]!
      await goOn(timeZone)
      const format = new Intl.DateTimeFormat('sv-SE', { timeZone })
      await s.agrees(t, usedAt => format.format(Date.parse(usedAt)))
    }
    t.comment({ turns, midRollUp, midRezone, tooLate })
    t.ok(midRollUp > 0 && tooLate > 0, 'the lease has moved in the middle of roll-ups')
  })
}

t.test('two that count, each for a while', async t => {
  const address = await server.database()
  const s = await usageScene(t, address, { chunkPairs: 1_000_000 })
  const second = await openLedgerScene(t, address, { instance: Buffer.alloc(16, 8) })
  await second.ledger.open()
  const pairs: Pairs = Array.from({ length: 19_000 }, (_, i) => [BigInt(i) * 1_000n, BigInt(i)])
  // Not so old that it would be dropped.
  for (let day = 1; day <= 12; day += 1) {
    await s.used(pairs, new Date(Date.UTC(2040, 0, day, 23)).toISOString())
  }
  const ledgers = [s.ledger, second.ledger]
  const cursor = async () =>
    (
      await s.session.query<{ cursorId: bigint | null; instance: Buffer }>(
        "SELECT cursor_id AS cursorId FROM countersink_rollup WHERE state = 'applying'",
      )
    )[0]?.cursorId
  let goneOn = 0
  await s.ledger.counter.releaseLease(s.session)
  for (let turn = 0; ; turn += 1) {
    const [mine, other] = turn % 2 === 0 ? ledgers : [...ledgers].reverse()
    t.equal(await mine!.counter.takeLease(), true)
    if ((await cursor()) != null) goneOn += 1
    t.match(await other!.roller.goOn('all'), { kind: 'recorder' })
    const result = await mine!.roller.goOn('all')
    t.match(result, { kind: /^(?:done|goes on)$/ })
    await mine!.counter.releaseLease(s.session)
    if (result.kind === 'done') break
  }
  t.ok(goneOn > 0, 'one has gone on where the other stood')
  const { findings } = await prove(s.session, s.config, {
    journal: [],
    consumers: { differencesMax: 5 },
  })
  t.same(findings, [])
  const all = pairs.reduce((sum, [, amount]) => sum + amount, 0n)
  for (const table of ['usage_block', 'usage_day']) {
    t.same(
      await s.session.query(
        `SELECT COUNT(*) AS periods, MIN(amount) AS least, MAX(amount) AS most
           FROM (SELECT SUM(amount) AS amount FROM countersink_${table} GROUP BY period_start) p`,
      ),
      [{ periods: 12n, least: `${all}`, most: `${all}` }],
    )
  }
})
