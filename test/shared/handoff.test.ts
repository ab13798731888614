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
    const taken = handoff.takeAll(1, signal)
    await handoff.put(i, signal)
    t.same(await taken, [i])
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
    t.same(await handoff.takeAll(1, signal), [taken])
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
  const taking = empty.takeAll(1, signal)
  t.notOk(await isSettled(blocked))
  abort.abort()
  t.equal(await within('put', blocked), false)
  t.same(await within('take', taking), [])
  t.equal(await handoff.put('c', signal), false)
  t.same(await handoff.takeAll(1, signal), [], 'also when there is something')
  t.same(handoff.drain(), ['a'])
  t.same(handoff.drain(), [])
})

t.test('weights: what is on the way adds up to the capacity at the most', async t => {
  const { signal } = new AbortController()
  const handoff = new Handoff<number>(10, weight => weight)
  for (const weight of [4, 0, 6]) t.equal(await handoff.put(weight, signal), true)
  t.equal(await isSettled(handoff.put(0, signal)), true, 'what weighs nothing goes in')
  const one = handoff.put(1, signal)
  t.notOk(await isSettled(one), 'full')
  t.same(await handoff.takeAll(1, signal), [4])
  t.equal(await within('there is room', one), true)
  const seven = handoff.put(7, signal)
  t.notOk(await isSettled(seven), '7 of 10 are taken')
  t.same(await handoff.takeAll(2, signal), [0, 6])
  t.equal(await within('there is room again', seven), true)
  t.same(await handoff.takeAll(9, signal), [0, 1, 7])
})

t.test('an item heavier than the capacity goes through alone', async t => {
  const { signal } = new AbortController()
  const handoff = new Handoff<number>(10, weight => weight)
  t.equal(await handoff.put(11, signal), true)
  const small = handoff.put(1, signal)
  t.notOk(await isSettled(small), 'nothing beside it')
  t.same(await handoff.takeAll(9, signal), [11])
  t.equal(await small, true)
  const huge = handoff.put(1_000, signal)
  t.notOk(await isSettled(huge), 'and not beside another')
  t.same(await handoff.takeAll(9, signal), [1])
  t.equal(await huge, true)
  t.same(handoff.drain(), [1_000])
  t.equal(await within('the drained weigh nothing', handoff.put(10, signal)), true)
})

t.test('many at once, and what is left is heard by the next', async t => {
  const { signal } = new AbortController()
  const handoff = new Handoff<number>(9)
  for (let i = 0; i < 5; i += 1) await handoff.put(i, signal)
  t.same(await handoff.takeAll(3, signal), [0, 1, 2])
  t.same(await within('the rest', handoff.takeAll(3, signal)), [3, 4])
})

t.test('nothing comes: an empty answer after the time-out, and not before', async t => {
  const { signal } = new AbortController()
  const handoff = new Handoff<number>(9)
  t.same(await within('the time-out', handoff.takeAll(3, signal, 1)), [])
  await handoff.put(1, signal)
  t.same(await handoff.takeAll(3, signal), [1])
  const waiting = handoff.takeAll(3, signal)
  t.notOk(await isSettled(waiting), 'the ring of what was taken is not heard again')
  await handoff.put(2, signal)
  t.same(await waiting, [2])
})

t.test('deferred', async t => {
  const good = deferred()
  good.resolve()
  await good.promise
  const bad = deferred()
  bad.reject(new Error('why'))
  t.match(await failureOf(bad.promise), { message: 'why' })
})
