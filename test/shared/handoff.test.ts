import { getEventListeners } from 'node:events'
import t from 'tap'
import { Bell, deferred, Handoff } from '../../shared/handoff.ts'
import { eventually, failureOf, within } from './helpers.ts'

/** Whether it is settled once everything that can go on has gone on. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => {
    settled = true
  })
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
  return settled
}

t.test('a ring before the wait is not lost, many are heard once', async t => {
  const { signal } = new AbortController()
  const bell = new Bell()
  bell.ring()
  bell.ring()
  await within('the first', bell.wait(signal))
  const second = bell.wait(signal)
  t.notOk(await isSettled(second), 'it was heard once')
  bell.ring()
  await within('the second', second)
  await within('the time-out', bell.wait(signal, 1))
})

t.test('an abort wakes, now and in advance', async t => {
  const abort = new AbortController()
  const bell = new Bell()
  const waiting = bell.wait(abort.signal)
  t.notOk(await isSettled(waiting))
  abort.abort()
  await within('the abort', waiting)
  await within('at once', bell.wait(abort.signal, 60_000))
})

t.test('no listener is left on the signal, whatever ends the wait', async t => {
  const abort = new AbortController()
  const { signal } = abort
  const bell = new Bell()
  for (let i = 0; i < 50; i += 1) {
    const waiting = bell.wait(signal, i % 2 === 0 ? 1 : undefined)
    if (i % 2 === 1) bell.ring()
    await waiting
  }
  t.equal(getEventListeners(signal, 'abort').length, 0)
  const handoff = new Handoff<number>(1)
  for (let i = 0; i < 50; i += 1) {
    const taken = handoff.take(signal)
    await handoff.put(i, signal)
    t.equal(await taken, i)
  }
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('items come in order, and never more than fit', async t => {
  const { signal } = new AbortController()
  const handoff = new Handoff<number>(2)
  let put = 0
  const producer = (async () => {
    for (let i = 0; i < 100; i += 1) {
      t.equal(await handoff.put(i, signal), true)
      put += 1
    }
  })()
  await eventually('it is full', () => put === 2)
  t.notOk(await isSettled(producer))
  for (let taken = 0; taken < 100; taken += 1) {
    t.equal(await handoff.take(signal), taken)
    t.ok(put <= taken + 4, `${put} were put when ${taken} were taken`)
  }
  await producer
})

t.test('an abort ends putting and taking, and what is left can be drained', async t => {
  const abort = new AbortController()
  const { signal } = abort
  const handoff = new Handoff<string>(1)
  t.equal(await handoff.put('a', signal), true)
  const blocked = handoff.put('b', signal)
  const empty = new Handoff<string>(1)
  const taking = empty.take(signal)
  t.notOk(await isSettled(blocked))
  abort.abort()
  t.equal(await within('put', blocked), false)
  t.equal(await within('take', taking), undefined)
  t.equal(await handoff.put('c', signal), false)
  t.equal(await handoff.take(signal), undefined, 'also when there is something')
  t.same(handoff.drain(), ['a'])
  t.same(handoff.drain(), [])
})

t.test('deferred', async t => {
  const good = deferred()
  good.resolve()
  await good.promise
  const bad = deferred()
  bad.reject(new Error('why'))
  t.match(await failureOf(bad.promise), { message: 'why' })
})
