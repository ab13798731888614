import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { eventually } from '../../helpers/eventually.ts'
import { openSession, startServer } from './helpers.ts'

// A session lives as long as a parser: what it was answered must not.

setFlagsFromString('--expose_gc')
const collect = runInNewContext('gc') as () => void
const server = await startServer(t)

t.test('an answer is kept only by whoever has asked', async t => {
  const session = await openSession(t, await server.database())
  const ask = async () => new WeakRef(await session.query('SELECT 1'))
  const answer = await ask()
  await session.query('SELECT 2')
  await eventually('it is gone', () => {
    collect()
    return answer.deref() === undefined
  })
  t.ok(session.isUsable)
})

t.test(
  'whoever waits when a connection is given up hears of it, and whoever asks then',
  async t => {
    const session = await openSession(t, await server.database())
    const waiting = session.query('SELECT SLEEP(60)')
    session.destroy()
    await t.rejects(waiting, { code: 'DATABASE_UNAVAILABLE' })
    await t.rejects(session.query('SELECT 1'))
    t.equal(session.waitingMs, 0)
  },
)
