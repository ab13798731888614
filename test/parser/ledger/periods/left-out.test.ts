import t, { type Test } from 'tap'
import type { UsageOf } from '../../../../parser/ledger/asking/usage.ts'
import type { Session } from '../../../../parser/ledger/connection.ts'
import { ledgerNames } from '../../../../parser/ledger/schema/tables.ts'
import { failureOf } from '../../../shared/helpers.ts'
import { type Pairs, startServer } from '../helpers.ts'
import { askUsage } from '../usage-scene.ts'
import { type UsageScene, usageScene } from './usage-scene.ts'

// A file whose blocks cannot be read is left out; all others are rolled up, and so is it once they can.

const server = await startServer(t)
t.setTimeout(120_000)
const PAIRS: Pairs = [
  [1n, 5n],
  [2n, 6n],
  [2n ** 60n, 7n],
]
const HOUR = '2026-11-01T10:30:00.000Z'

const DAMAGES: readonly (readonly [what: string, sql: string])[] = [
  [
    'a byte',
    'UPDATE countersink_sums SET block = INSERT(block, 12, 1, CHAR(ASCII(SUBSTR(block, 12)) ^ 1))',
  ],
  ['all of it', 'DELETE FROM countersink_sums'],
]

async function damaged(session: Session, sql: string, sequence: number) {
  await session.execute('CREATE OR REPLACE TABLE kept AS SELECT * FROM countersink_sums')
  await session.execute(`${sql} WHERE file_sequence = ${sequence}`)
  return async () => {
    await session.execute(`DELETE FROM countersink_sums WHERE file_sequence = ${sequence}`)
    await session.execute(
      `INSERT INTO countersink_sums SELECT * FROM kept WHERE file_sequence = ${sequence}`,
    )
  }
}

/** Only what is damaged is named, by file. */
async function onlyNames(s: UsageScene, t: Test, name: string): Promise<void> {
  const { findings, consumers } = await s.proof()
  t.same(
    findings.filter(({ check }) => check === 'usage'),
    [],
    'what is left out is not rolled up, and all else adds up',
  )
  const said = JSON.stringify([findings, consumers], (_, one) =>
    typeof one === 'bigint' ? `${one}` : one,
  )
  t.match(said, new RegExp(`${name} \\(`))
}

const unrolled = async (session: Session): Promise<bigint[]> =>
  (
    await session.query<{ sequence: bigint }>(
      'SELECT file_sequence AS sequence FROM countersink_posting WHERE rolled IS NULL ORDER BY 1',
    )
  ).map(({ sequence }) => sequence)

for (const [what, sql] of DAMAGES) {
  for (const rowsMax of [1, 1_000]) {
    t.test(`${what} is damaged, ${rowsMax} consumers a chunk`, async t => {
      const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
      const names = ledgerNames(s.config)
      for (let i = 0; i < 4; i += 1) await s.used(PAIRS, HOUR)
      const repair = await damaged(s.session, sql, 2)
      t.equal(await s.roll({ rowsMax }), 'done')
      t.same(await unrolled(s.session), [2n])
      t.same(s.leftOut.names, ['f2'])
      await onlyNames(s, t, 'f2')
      const ask = (of: UsageOf) =>
        askUsage(s.session, s.config, { of, by: 'hour', from: { local: '2026-11-01' } })
      const all = PAIRS.reduce((sum, [, amount]) => sum + 4n * amount, 0n)
      t.equal(
        (await ask('all'))!.lines.reduce((sum, [, , amount]) => sum + amount, 0n),
        all,
      )
      for (const of of ['each', { id: 2n }, { top: 1 }] as const) {
        const failure = await failureOf(ask(of))
        t.match(failure, { code: 'BLOCK_UNREADABLE', message: /f2: / })
      }
      await s.used(PAIRS, HOUR)
      t.equal(await s.roll({ rowsMax }), 'done')
      t.same(await unrolled(s.session), [2n], 'what comes later is rolled up too')
      await s.leftOut.lookAgain(s.session, names, 0)
      t.same(s.leftOut.names, ['f2'])
      await repair()
      await s.leftOut.lookAgain(s.session, names, 0)
      t.same(s.leftOut.names, [])
      t.equal(await s.roll({ rowsMax }), 'done')
      await s.agrees(t)
    })
  }
}

t.test('all that there is, and one after the other', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  const names = ledgerNames(s.config)
  await s.used(PAIRS, HOUR)
  const repair = await damaged(s.session, DAMAGES[0]![1], 1)
  t.equal(await s.roll(), 'done')
  t.same([await unrolled(s.session), s.leftOut.names], [[1n], ['f1']])
  await repair()
  await s.used(PAIRS, HOUR)
  const again = await damaged(s.session, DAMAGES[1]![1], 2)
  t.equal(await s.roll(), 'done')
  t.same(s.leftOut.names, ['f1', 'f2'])
  await s.leftOut.lookAgain(s.session, names, 0)
  t.same(s.leftOut.names, ['f2'])
  t.equal(await s.roll(), 'done')
  t.same(await unrolled(s.session), [2n])
  await again()
  await s.leftOut.lookAgain(s.session, names, 0)
  t.equal(await s.roll(), 'done')
  await s.agrees(t)
})

t.test('beside another time zone: its days wait, what is new does not', async t => {
  const s = await usageScene(t, await server.database(), { chunkPairs: 1_000 })
  for (let i = 0; i < 3; i += 1) await s.used(PAIRS, '2026-11-01T23:30:00.000Z')
  t.equal(await s.roll({ timeZone: 'UTC' }), 'done')
  const repair = await damaged(s.session, DAMAGES[0]![1], 2)
  const timeZone = 'Europe/Berlin'
  await s.used(PAIRS, '2026-11-02T23:30:00.000Z')
  const epoch = await s.session.query<{ epoch: bigint }>('SELECT epoch FROM countersink_lease')
  t.match(await failureOf(s.roll({ timeZone, rowsMax: 1 })), {
    code: 'BLOCK_UNREADABLE',
    message: /f2/,
  })
  await s.session.execute('UPDATE countersink_lease SET epoch = ?', [epoch[0]!.epoch])
  t.same(await unrolled(s.session), [])
  t.same(await s.rows('rollup' as never), 2)
  t.same((await s.usage()).day.get('2026-11-01')?.get(1n), 15n)
  t.same((await s.usage()).day.get('2026-11-03')?.get(1n), 5n)
  await repair()
  await s.proven(t)
  t.equal(await s.roll({ timeZone }), 'done')
  await s.agrees(t, usedAt => new Date(usedAt).toLocaleDateString('sv-SE', { timeZone }))
})
