import t from 'tap'
import { newBatchId } from '../../../parser/ledger/batch.ts'
import { Turns } from '../../../parser/ledger/turns.ts'
import { deferred } from '../../../shared/handoff.ts'
import { failureOf } from '../../shared/helpers.ts'
import { fileOf, openLedgerScene, startServer } from './helpers.ts'

t.test('one at a time, in the order in which they ask; a failure is whose it is', async t => {
  const turns = new Turns()
  const ended: number[] = []
  const gate = deferred()
  const first = turns.take(async () => {
    await gate.promise
    return ended.push(1)
  })
  const second = failureOf(turns.take(async () => Promise.reject(new Error('its own'))))
  const third = turns.take(async () => ended.push(3))
  t.same(ended, [])
  gate.resolve()
  t.same(await Promise.all([first, third]), [1, 2])
  t.match(await second, { message: 'its own' })
  t.same(ended, [1, 3])
  t.equal(await turns.take(async () => 'later'), 'later')
})

t.test('a long one lets those go first that wait, and not those that come then', async t => {
  const turns = new Turns()
  const ended: string[] = []
  const long = turns.take(async () => {
    const short = turns.take(async () => {
      ended.push('short')
      void turns.take(async () => ended.push('after'))
    })
    const failing = failureOf(turns.take(async () => Promise.reject(new Error('its own'))))
    await turns.giveWay()
    ended.push('long')
    await short
    t.match(await failing, { message: 'its own' })
  })
  await long
  await turns.take(async () => {})
  t.same(ended, ['short', 'long', 'after'])
})

t.test('while a large batch is counted, and a large file recorded, others go on', async t => {
  const server = await startServer(t)
  const many = Array.from({ length: 20 }, (_, i) => [BigInt(i), 1n] as const)
  const order: string[] = []
  let chunks = 0
  const { ledger, record, totals } = await openLedgerScene(t, await server.database(), {
    env: { COUNTERSINK_CHUNK_PAIRS_MAX: '1' },
    onChunk() {
      chunks += 1
      if (chunks === 2) void small.then(() => order.push('small'))
    },
  })
  await ledger.open()
  await ledger.counter.takeLease()
  const files = (await record([fileOf(many)]))!
  const counting = ledger.counter.countStaged({ id: newBatchId(), files })
  const large = record([fileOf(many, { workSequence: 2 })]).then(() => order.push('large'))
  const small = ledger.openBatches()
  t.match(await counting, { kind: 'applied' })
  order.push('counted')
  await large
  t.same(new Set(order), new Set(['counted', 'large', 'small']))
  t.equal(order[0], 'small')
  t.equal((await totals())[7], '1')
})
