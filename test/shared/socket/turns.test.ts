import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { REQUESTS_IN_HAND_MAX } from '../../../shared/limits.ts'
import type { Message } from '../../../shared/protocol.ts'
import { ChannelServer } from '../../../shared/socket/channel-server.ts'
import { openChannel } from '../../../shared/socket/connecting.ts'
import { encodeFrame } from '../../../shared/socket/frames.ts'
import {
  eventually,
  failureOf,
  HEALTH,
  HELLO,
  RawPeer,
  rawPeer,
  runModule,
  tempDir,
} from '../helpers.ts'

// A peer's messages are taken in turns: what one sends too fast waits at its own side.

const SHA256 = 'ab'.repeat(32)
const query = (id: number): Buffer =>
  encodeFrame({ type: 'query', id, question: { kind: 'after', number: 0 } })
const announce = (id: number): Buffer =>
  encodeFrame({ type: 'announce', id, name: `f${id}`, sizeBytes: 1, sha256: SHA256 })

async function scene(t: Test) {
  const path = `${tempDir(t)}/s`
  const taken: Message[] = []
  let release: (() => void) | undefined
  const server = await ChannelServer.listen(path, 'parser', {
    async onMessage(message, channel) {
      taken.push(message)
      if (message.type === 'ping') {
        channel.send({ type: 'pong', id: message.id, health: HEALTH })
      }
      if (message.type !== 'query') return
      await new Promise<void>(resolve => {
        release = resolve
      })
      channel.send({ type: 'answer', id: message.id, body: {} })
    },
  })
  t.teardown(() => server.close())
  const isServed = async (): Promise<boolean> => {
    const good = await openChannel(path, 'client')
    await good.request<'pong'>({ type: 'ping' })
    good.close()
    return true
  }
  return {
    ...{ path, server, taken, isServed },
    /** The question in hand is answered. */
    answer: async () => {
      const finish = await eventually('a question is in hand', () => release)
      release = undefined
      finish()
    },
  }
}

t.test('questions of one peer are taken one after the other, and others are served', async t => {
  const { path, taken, isServed, answer } = await scene(t)
  const queries = () => taken.filter(one => one.type === 'query').length
  const peer = await rawPeer(t, path)
  const asked = Array.from({ length: 5_000 }, (_, i) => query(i))
  peer.socket.write(Buffer.concat([encodeFrame(HELLO), ...asked]))
  for (let i = 1; i <= 3; i += 1) {
    await eventually(`question ${i} is taken`, () => queries() === i)
    t.ok(await isServed())
    t.ok(await isServed())
    t.equal(queries(), i, 'no other meanwhile')
    await answer()
    await eventually(`answer ${i}`, () => peer.frames.filter(f => f.type === 'answer').length === i)
  }
})

t.test('a peer with many requests unanswered is read no further, and goes on after', async t => {
  const path = `${tempDir(t)}/s`
  const waiting: (() => void)[] = []
  let most = 0
  const server = await ChannelServer.listen(path, 'parser', {
    onMessage(message, channel) {
      if (message.type === 'ping') {
        channel.send({ type: 'pong', id: message.id, health: HEALTH })
      }
      if (message.type !== 'announce') return
      const { id } = message
      waiting.push(() => channel.send({ type: 'ack', id, outcome: 'later' }))
      most = Math.max(most, waiting.length)
    },
  })
  t.teardown(() => server.close())
  const peer = await rawPeer(t, path)
  const files = 3 * REQUESTS_IN_HAND_MAX + 7
  const all = Array.from({ length: files }, (_, i) => announce(i))
  peer.socket.write(Buffer.concat([encodeFrame(HELLO), ...all]))
  await eventually('as many as may are taken', () => waiting.length === REQUESTS_IN_HAND_MAX)
  const good = await openChannel(path, 'client')
  t.ok(await good.request<'pong'>({ type: 'ping' }), 'others are served')
  good.close()
  const acks = () => peer.frames.filter(one => one.type === 'ack').map(one => one.id)
  await eventually('all are acknowledged', () => {
    for (const ack of waiting.splice(0)) ack()
    return acks().length === files
  })
  t.equal(most, REQUESTS_IN_HAND_MAX)
  t.same(
    acks(),
    all.map((_, i) => i),
    'each once, in order',
  )
})

t.test('what a peer must not say ends its connection, also in a flood', async t => {
  const { path, taken, isServed } = await scene(t)
  const settled = { type: 'settled', name: 'x', sha256: SHA256, outcome: 'applied' } as const
  const before = process.memoryUsage().heapUsed
  const peer = await rawPeer(t, path)
  peer.send(HELLO, ...Array.from({ length: 20_000 }, () => settled))
  await peer.closed()
  t.equal(peer.errorCode, 'MESSAGE_INVALID')
  t.ok(process.memoryUsage().heapUsed - before < 64 * 2 ** 20)
  const same = await rawPeer(t, path)
  same.send({ ...HELLO, role: 'parser' })
  await same.closed()
  t.equal(same.errorCode, 'PROTOCOL_MISMATCH', 'a parser has no business with a parser')
  t.ok(await isServed())
  t.same([...new Set(taken.map(one => one.type))], ['ping'])
})

t.test('replies are taken from who was asked, for what was asked, once', async t => {
  const asked: Readonly<Record<string, (id: unknown) => readonly object[]>> = {
    'of another type': id => [{ type: 'ack', id, outcome: 'later' }],
    'a second time': id => Array(2).fill({ type: 'answer', id, body: {} }),
    'without a sound health': id => [{ type: 'pong', id, health: { ...HEALTH, sinceStart: 3 } }],
    'unasked, of a file': () => [
      { type: 'settled', name: 'x', sha256: SHA256, outcome: 'applied' },
    ],
  }
  for (const [name, replies] of Object.entries(asked)) {
    const path = `${tempDir(t)}/s`
    const server = createServer(socket => {
      const peer = new RawPeer(socket)
      peer.send({ ...HELLO, role: 'parser' })
      void peer.frame('query').then(({ id }) => peer.send(...replies(id)))
    })
    await new Promise<void>(resolve => server.listen(path, resolve))
    t.teardown(() => server.close())
    const closings: (Error | undefined)[] = []
    const channel = await openChannel(path, 'client', {
      onClose: (_channel, error) => closings.push(error),
    })
    const question = { kind: 'after', number: 0 }
    await channel.request({ type: 'query', question }).catch(() => undefined)
    await eventually('it is cut off', () => closings.length === 1)
    t.match(closings, [{ code: 'MESSAGE_INVALID' }], name)
    t.match(await failureOf(channel.request({ type: 'ping' })), { code: 'CHANNEL_CLOSED' })
  }
})

t.test('a fault in a handler ends the process, whichever handler it is', async t => {
  for (const handler of ['onOpen', 'onMessage', 'onMessage, later', 'onClose']) {
    const path = `${tempDir(t)}/s`
    const [name, isLater] = handler.split(', ')
    const child = runModule(
      t,
      `import { ChannelServer } from '@/shared/socket/channel-server.ts'
       const fault = ${isLater ? 'async () => { await null;' : '() => {'} undefined.fault() }
       await ChannelServer.listen('${path}', 'parser', { ${name}: fault })
       console.log('listening')`,
    )
    await child.says('listening')
    const peer = await rawPeer(t, path)
    peer.send(HELLO, { type: 'ping', id: 1 })
    if (handler === 'onClose') peer.socket.end()
    const { code } = await child.ended
    t.not(code, 0, handler)
    t.match(child.err(), /TypeError/, handler)
  }
})
