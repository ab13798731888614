import t, { type Test } from 'tap'
import { Orders } from '../../../parser/counting/orders.ts'
import { recordingLog } from '../helpers.ts'
import { openSession, startServer } from '../ledger/helpers.ts'
import { named, OLD, ordersScene } from '../ledger/orders-scene.ts'

// What people have asked for is carried out, or it is said why not.

const server = await startServer(t)

async function scene(t: Test, onChunk: () => void = () => {}) {
  const s = await ordersScene(t, server, 1, onChunk)
  const log = recordingLog()
  const orders = new Orders({ ledger: s.ledger, log })
  const declined = () => log.lines.filter(({ fields }) => fields.code === 'ORDER_DECLINED')
  return { ...s, orders, declined }
}

t.test('refused by the retreat of its batch: said once, with the reason', async t => {
  let lower: (() => Promise<void>) | undefined
  const s = await scene(t, () => void lower?.())
  const old = named(OLD)
  await s.given(old)
  const beside = await openSession(t, s.address)
  lower = async () => {
    lower = undefined
    await beside.execute(
      'UPDATE consumption SET resource_consumption = 0 WHERE id = 9223372036854775808',
    )
  }
  const id = await s.ask('undo', old)
  t.ok(await s.orders.carryOut())
  t.match(await s.standing(id), { state: 'refused', answer: /^TOTAL_TOO_SMALL/ })
  t.match(s.declined(), [{ level: 'warn', fields: { kind: 'undo', reason: /^TOTAL_TOO_SMALL/ } }])
  t.equal(await s.orders.carryOut(), false, 'it waits no more')
  t.equal(s.declined().length, 1)
})
