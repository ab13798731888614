import t, { type Test } from 'tap'
import { CONNECTIONS_MAX, GREETINGS_MAX } from '../../../shared/limits.ts'
import type { Message } from '../../../shared/protocol.ts'
import type { Channel } from '../../../shared/socket/channel.ts'
import { ChannelServer, type ServerHandlers } from '../../../shared/socket/channel-server.ts'
import { openChannel } from '../../../shared/socket/connecting.ts'
import { eventually, failureOf, HEALTH, HELLO, type RawPeer, rawPeer, tempDir } from '../helpers.ts'

// Who gives way when all places are taken, and who does not.

const PING = { type: 'ping', id: 1 } as const

/** A server that answers pings unless it is told not to. */
async function scene(t: Test, options: Pick<ServerHandlers, 'waitsForMore'> = {}) {
  const path = `${tempDir(t)}/s`
  const unanswered: { message: Message; channel: Channel }[] = []
  const server = await ChannelServer.listen(path, 'parser', {
    ...options,
    onMessage(message, channel) {
      if (message.type === 'query') unanswered.push({ message, channel })
      if (message.type !== 'ping') return
      channel.send({ type: 'pong', id: message.id, health: HEALTH })
    },
  })
  t.teardown(() => server.close())
  const greeted = async (hello: object = HELLO): Promise<RawPeer> => {
    const peer = await rawPeer(t, path)
    peer.send(hello)
    await peer.frame('hello')
    return peer
  }
  const isServed = async (peer: RawPeer): Promise<boolean> => {
    peer.frames.length = 0
    peer.send(PING)
    return eventually('it is served, or cut off', () =>
      peer.frames.some(one => one.type === 'pong')
        ? 'yes'
        : peer.isClosed || peer.errorCode !== undefined
          ? 'no'
          : undefined,
    ).then(answer => answer === 'yes')
  }
  /** Takes all places, one after the other. */
  const crowd = async (use: (peer: RawPeer, i: number) => unknown): Promise<RawPeer[]> => {
    const peers: RawPeer[] = []
    for (let i = 0; i < CONNECTIONS_MAX; i += 1) {
      const peer = await greeted()
      await use(peer, i)
      peers.push(peer)
    }
    return peers
  }
  return { path, unanswered, greeted, isServed, crowd }
}

const query = { type: 'query', id: 1, question: { kind: 'after', number: 0 } } as const

t.test('the longest idle gives way to a newcomer, who never asked anything first', async t => {
  const { greeted, isServed, crowd } = await scene(t)
  const peers = await crowd(async (peer, i) => {
    if (i !== 5) t.ok(await isServed(peer))
  })
  t.ok(await isServed(await greeted()), 'a newcomer is let in')
  await peers[5]!.closed()
  t.equal(peers[5]!.errorCode, 'GAVE_WAY', 'the one that had asked nothing')
  t.ok(await isServed(peers[0]!), 'it asks again, and is the newest')
  t.ok(await isServed(await greeted()))
  await peers[1]!.closed()
  t.ok(await isServed(peers[0]!))
})

t.test('who waits for an answer stays; if all do, a newcomer is told so', async t => {
  const { path, unanswered, greeted, isServed, crowd } = await scene(t)
  const peers = await crowd(peer => peer.send(query))
  await eventually('all have asked', () => unanswered.length === CONNECTIONS_MAX)
  const extra = await rawPeer(t, path)
  extra.send(HELLO)
  await extra.closed()
  t.equal(extra.errorCode, 'NO_PLACE')
  const { message, channel } = unanswered[7]!
  channel.send({ type: 'answer', id: (message as typeof query).id, body: {} })
  await peers[7]!.frame('answer')
  t.ok(await isServed(await greeted()), 'as soon as one has its answer')
  await peers[7]!.closed()
  t.equal(peers.filter(peer => peer.isClosed).length, 1)
})

t.test('who waits for something else stays too', async t => {
  const waiting = new Set<Channel>()
  const { path, isServed, crowd } = await scene(t, {
    waitsForMore: channel => waiting.size < CONNECTIONS_MAX && waiting.add(channel).size > 0,
  })
  const peers = await crowd(() => undefined)
  const extra = await rawPeer(t, path)
  extra.send(HELLO)
  await extra.closed()
  t.equal(extra.errorCode, 'NO_PLACE')
  t.ok(await isServed(peers[0]!))
})

t.test('one place is kept for the supervisor, and no liar keeps it out', async t => {
  const { unanswered, greeted, isServed, crowd } = await scene(t)
  await crowd(peer => peer.send(query))
  await eventually('all have asked', () => unanswered.length === CONNECTIONS_MAX)
  const asParent = { ...HELLO, pid: process.ppid }
  const liar = await greeted(asParent)
  t.ok(await isServed(liar), 'nobody can tell yet')
  const supervisor = await greeted(asParent)
  t.ok(await isServed(supervisor))
  await liar.closed()
  supervisor.send(query)
  await eventually('it has asked', () => unanswered.length === CONNECTIONS_MAX + 1)
  const another = await greeted(asParent)
  await another.closed()
  t.equal(another.errorCode, 'NO_PLACE', 'not while the supervisor is being answered')
  t.notOk(supervisor.isClosed)
})

t.test('a liar that waits for more does not keep the supervisor out either', async t => {
  const { greeted, isServed, crowd } = await scene(t, { waitsForMore: () => true })
  await crowd(() => undefined)
  const asParent = { ...HELLO, pid: process.ppid }
  const liar = await greeted(asParent)
  t.ok(await isServed(liar))
  t.ok(await isServed(await greeted(asParent)))
  await liar.closed()
  t.equal(liar.errorCode, 'GAVE_WAY')
})

t.test('who does not say hello takes nobody’s place', async t => {
  const { path, greeted, isServed } = await scene(t)
  const first = await greeted()
  const silent: RawPeer[] = []
  for (let i = 0; i < GREETINGS_MAX + 3; i += 1) silent.push(await rawPeer(t, path))
  await eventually('the oldest give way', () => silent.slice(0, 3).every(peer => peer.isClosed))
  t.ok(await isServed(first))
  t.ok(await isServed(await greeted()))
})

t.test('a channel that was cut off says why', async t => {
  const { path, crowd, unanswered } = await scene(t)
  await crowd(peer => peer.send(query))
  await eventually('all have asked', () => unanswered.length === CONNECTIONS_MAX)
  const channel = await openChannel(path, 'client')
  const error = await failureOf(channel.request({ type: 'ping' }))
  t.match(error, { code: 'CHANNEL_CLOSED', cause: { message: /NO_PLACE/ } })
})
