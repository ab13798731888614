import { existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { REQUESTS_PER_CHANNEL_MAX } from '../../../shared/limits.ts'
import type { Message } from '../../../shared/protocol.ts'
import type { Channel, ChannelHandlers } from '../../../shared/socket/channel.ts'
import { ChannelServer } from '../../../shared/socket/channel-server.ts'
import { askOnce, openChannel } from '../../../shared/socket/connecting.ts'
import { encodeFrame } from '../../../shared/socket/frames.ts'
import {
  eventually,
  failureOf,
  HEALTH,
  HELLO,
  RawPeer,
  runModule,
  tempDir,
  within,
} from '../helpers.ts'

const QUESTION = { type: 'query', question: { kind: 'after', number: 0 } } as const
const reply = (message: Message, channel: Channel): void => {
  if (message.type !== 'query') return
  channel.send({ type: 'answer', id: message.id, body: { pid: process.pid } })
}

async function listen(t: Test, path: string, handlers: ChannelHandlers = { onMessage: reply }) {
  const server = await ChannelServer.listen(path, 'parser', handlers)
  t.teardown(() => server.close())
  return server
}

/** A listener that says what it is told to, and a channel to it. */
async function scripted(t: Test, onData: (peer: RawPeer) => void, handlers: ChannelHandlers = {}) {
  const path = `${tempDir(t)}/s`
  const peers: RawPeer[] = []
  const server = createServer(socket => {
    const peer = new RawPeer(socket)
    peers.push(peer)
    socket.on('data', () => onData(peer))
    peer.send({ ...HELLO, role: 'parser' })
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => {
    server.close()
    for (const peer of peers) peer.socket.destroy()
  })
  const channel = await openChannel(path, 'client', handlers)
  t.teardown(() => channel.close())
  return { channel, peer: peers[0]! }
}

t.test('requests are settled by the reply of their id, in any order', async t => {
  const held: number[] = []
  const { channel, peer } = await scripted(t, peer => {
    for (const { type, id } of peer.frames.splice(0)) {
      if (type === 'query') held.push(Number(id))
    }
  })
  const answers = [1, 2, 3].map(() => channel.request<'answer'>(QUESTION))
  await eventually('all came', () => held.length === 3)
  t.equal(new Set(held).size, 3, 'ids differ')
  for (const id of [...held].reverse()) {
    peer.send({ type: 'answer', id, body: { to: id } })
  }
  t.same(
    (await Promise.all(answers)).map(answer => answer.body),
    held.map(to => ({ to })),
  )
})

t.test('a request has a deadline; its late reply is no offence, an unasked one is', async t => {
  const closings: (Error | undefined)[] = []
  const { channel, peer } = await scripted(t, () => {}, {
    onClose: (_channel, error) => closings.push(error),
  })
  t.match(await failureOf(channel.request<'pong'>({ type: 'ping' }, 20)), {
    code: 'REQUEST_TIMEOUT',
  })
  const next = channel.request<'answer'>(QUESTION)
  const asked = await peer.frame('query')
  peer.send(
    { type: 'pong', id: 1, health: HEALTH },
    { type: 'answer', id: asked.id, body: { ok: 1 } },
  )
  t.match(await next, { body: { ok: 1 } })
  t.ok(channel.isOpen)
  const waiting = failureOf(channel.request<'answer'>(QUESTION))
  peer.send({ type: 'answer', id: 99, body: {} })
  t.match(await waiting, { code: 'CHANNEL_CLOSED' })
  await peer.closed()
  t.equal(peer.errorCode, 'MESSAGE_INVALID')
  t.match(closings, [{ code: 'MESSAGE_INVALID' }])
})

t.test('the end of a connection rejects all that wait, once, however it ends', async t => {
  const endings: Record<string, (channel: Channel, peer: RawPeer) => void> = {
    'we close': channel => channel.close(),
    'the peer ends': (_channel, peer) => peer.socket.end(),
    'the peer vanishes': (_channel, peer) => peer.socket.destroy(),
    'the peer says why': (_channel, peer) =>
      peer.send({ type: 'error', code: 'STOPPED', message: 'no more' }),
  }
  for (const [name, end] of Object.entries(endings)) {
    let closings = 0
    const { channel, peer } = await scripted(t, () => {}, { onClose: () => (closings += 1) })
    const waiting = [1, 2, 3].map(() => failureOf(channel.request<'answer'>(QUESTION)))
    await peer.frame('query')
    end(channel, peer)
    for (const error of await within(name, Promise.all(waiting))) {
      t.match(error, { code: 'CHANNEL_CLOSED' }, name)
    }
    t.equal(closings, 1)
    t.notOk(channel.isOpen)
    t.match(await failureOf(channel.request(QUESTION)), { code: 'CHANNEL_CLOSED' }, 'from then on')
    channel.send({ type: 'ping', id: 1 })
    channel.close()
  }
})

t.test('requests that may wait are bounded', async t => {
  const { channel, peer } = await scripted(t, () => {})
  peer.socket.resume()
  const waiting = Array.from({ length: REQUESTS_PER_CHANNEL_MAX }, () =>
    failureOf(channel.request<'pong'>({ type: 'ping' })),
  )
  t.match(await failureOf(channel.request({ type: 'ping' })), { code: 'TOO_MANY_REQUESTS' })
  t.ok(channel.isOpen)
  channel.close()
  await within('all are rejected', Promise.all(waiting))
})

t.test('a message that no frame holds ends the channel, not the process', async t => {
  const { channel, peer } = await scripted(t, () => {})
  const waiting = failureOf(channel.request<'answer'>(QUESTION))
  channel.send({ type: 'answer', id: 1, body: { text: 'x'.repeat(70_000) } })
  t.match(await waiting, { code: 'CHANNEL_CLOSED', cause: { code: 'FRAME_TOO_LARGE' } })
  await peer.closed()
  t.equal(peer.errorCode, 'FRAME_TOO_LARGE')
})

t.test('opening fails with the reason', async t => {
  const path = `${tempDir(t)}/s`
  t.match(await failureOf(openChannel(path, 'client')), { code: 'ENOENT' })
  t.equal(await askOnce(path, async () => 1), undefined, 'nobody there')
  const other = createServer(socket => {
    socket.on('error', () => {})
    socket.write(encodeFrame({ ...HELLO, version: 9 }))
  }).listen(path)
  t.teardown(() => other.close())
  await eventually('it listens', () => existsSync(path))
  t.match(await failureOf(openChannel(path, 'client')), { code: 'PROTOCOL_MISMATCH' })
  other.removeAllListeners('connection').on('connection', socket => socket.end())
  t.match(await failureOf(openChannel(path, 'client')), { code: 'CHANNEL_CLOSED' })
})

t.test('askOnce asks on a connection of its own and leaves none behind', async t => {
  const path = `${tempDir(t)}/s`
  let open = 0
  await listen(t, path, {
    onMessage: reply,
    onOpen: () => (open += 1),
    onClose: () => (open -= 1),
  })
  const answer = await askOnce(path, channel => channel.request<'answer'>(QUESTION))
  t.match(answer, { body: { pid: process.pid } })
  t.match(
    await failureOf(
      askOnce(path, async () => {
        throw new Error('mine')
      }),
    ),
    { message: 'mine' },
  )
  await eventually('both are closed', () => open === 0)
})

t.test('the socket file is for its owner, and goes with the server', async t => {
  const path = `${tempDir(t)}/s`
  const server = await listen(t, path)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const channel = await openChannel(path, 'client')
  const waiting = failureOf(channel.request<'pong'>({ type: 'ping' }))
  await within('closing', Promise.all([server.close(), server.close()]))
  t.match(await waiting, { code: 'CHANNEL_CLOSED' })
  t.notOk(existsSync(path))
  t.notOk(existsSync(`${path}.${process.pid}`))
})

t.test('a stale socket file, or another file, is taken over', async t => {
  const path = `${tempDir(t)}/s`
  const child = runModule(
    t,
    `import { createServer } from 'node:net'
     createServer().listen('${path}', () => process.kill(process.pid, 'SIGKILL'))`,
  )
  await child.ended
  t.ok(existsSync(path), 'a dead process left it')
  t.match(await failureOf(openChannel(path, 'client')), { code: 'ECONNREFUSED' })
  writeFileSync(`${path}.${process.pid}`, 'a leftover of an earlier process with our pid')
  await listen(t, path)
  t.ok(await askOnce(path, channel => channel.request<'answer'>(QUESTION)))
})

t.test('a second server takes the path over while the first closes', async t => {
  const path = `${tempDir(t)}/s`
  const child = runModule(
    t,
    `import { ChannelServer } from '@/shared/socket/channel-server.ts'
     const server = await ChannelServer.listen('${path}', 'parser', {})
     console.log('listening')
     process.stdin.once('data', async () => { await server.close(); console.log('closed'); process.exit(0) })`,
  )
  await child.says('listening')
  const old = await openChannel(path, 'client')
  const second = await listen(t, path)
  t.ok(old.isOpen, 'who is connected stays so')
  child.process.stdin?.write('close\n')
  t.match(await child.ended, { code: 0 })
  t.ok(statSync(path).isSocket(), 'the file stays')
  t.match(await askOnce(path, channel => channel.request<'answer'>(QUESTION)), {
    body: { pid: process.pid },
  })
  const third = await listen(t, path)
  await second.close()
  t.ok(await askOnce(path, channel => channel.request<'answer'>(QUESTION)), 'in one process too')
  await third.close()
  t.notOk(existsSync(path))
})
