import { setTimeout as sleep } from 'node:timers/promises'
import { Packr } from 'msgpackr'
import t, { type Test } from 'tap'
import { FRAME_BYTES_MAX, SEND_BUFFER_BYTES_MAX } from '../../../shared/limits.ts'
import type { Hello } from '../../../shared/protocol.ts'
import type { Channel } from '../../../shared/socket/channel.ts'
import { ChannelServer } from '../../../shared/socket/channel-server.ts'
import { openChannel } from '../../../shared/socket/connecting.ts'
import { encodeFrame } from '../../../shared/socket/frames.ts'
import { eventually, HELLO, type RawPeer, rawPeer, tempDir } from '../helpers.ts'

// Each offence against one live server, on which a well-behaved peer is answered all the time.

interface Scene {
  readonly path: string
  /** Of all but the good peers. */
  readonly closings: (Error | undefined)[]
  readonly received: string[]
  /** A good peer asks and is answered: on an old connection and on a new one. */
  goodPeerIsAnswered(): Promise<void>
}

async function scene(
  t: Test,
  onOpen: (channel: Channel, hello: Hello) => void = () => {},
): Promise<Scene> {
  const path = `${tempDir(t)}/s`
  const closings: (Error | undefined)[] = []
  const received: string[] = []
  const good = new Set<Channel>()
  const server = await ChannelServer.listen(path, 'parser', {
    onOpen(channel, hello) {
      if (hello.pid === process.pid) good.add(channel)
      onOpen(channel, hello)
    },
    onMessage(message, channel) {
      received.push(message.type)
      if (message.type !== 'query') return
      channel.send({ type: 'answer', id: message.id, body: { files: [] } })
    },
    onClose(channel, error) {
      if (!good.has(channel)) closings.push(error)
    },
  })
  t.teardown(() => server.close())
  const ask = { type: 'query', question: { kind: 'after', number: 0 } } as const
  const old = await openChannel(path, 'client')
  return {
    path,
    closings,
    received,
    async goodPeerIsAnswered() {
      t.match(await old.request<'answer'>(ask), { body: { files: [] } }, 'an old peer')
      const fresh = await openChannel(path, 'client')
      t.match(await fresh.request<'answer'>(ask), { body: { files: [] } }, 'a new peer')
      fresh.close()
    },
  }
}

const prefix = (length: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}

const framed = (payload: Buffer): Buffer => Buffer.concat([prefix(payload.length), payload])
const wire = (peer: RawPeer, ...bytes: readonly Buffer[]): void => {
  peer.socket.write(Buffer.concat(bytes))
}
const hello = encodeFrame(HELLO)
const circular: unknown[] = []
circular.push(circular)

const OFFENCES: Readonly<Record<string, readonly [code: string, bytes: Buffer]>> = {
  'garbage instead of a hello': ['FRAME_TOO_LARGE', Buffer.alloc(4_096, 0xa5)],
  'an HTTP request': ['FRAME_TOO_LARGE', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  'a length of zero': ['FRAME_EMPTY', Buffer.concat([hello, prefix(0)])],
  'a length beyond the limit': [
    'FRAME_TOO_LARGE',
    Buffer.concat([hello, prefix(FRAME_BYTES_MAX + 1)]),
  ],
  'the largest length': ['FRAME_TOO_LARGE', Buffer.concat([hello, prefix(0xffff_ffff)])],
  'garbage in a frame': [
    'FRAME_UNREADABLE',
    Buffer.concat([hello, framed(Buffer.from([0xdd, 255, 255, 255, 255]))]),
  ],
  'a frame that holds a number': [
    'MESSAGE_INVALID',
    Buffer.concat([hello, framed(Buffer.from([71]))]),
  ],
  'another version': ['PROTOCOL_MISMATCH', encodeFrame({ ...HELLO, version: 2 })],
  'another protocol': ['PROTOCOL_MISMATCH', encodeFrame({ ...HELLO, protocol: 'other' })],
  'an unknown role': ['MESSAGE_INVALID', encodeFrame({ ...HELLO, role: 'king' })],
  'a first message that is no hello': ['PROTOCOL_MISMATCH', encodeFrame({ type: 'ping', id: 1 })],
  'a second hello': ['MESSAGE_INVALID', Buffer.concat([hello, hello])],
  'an unknown type': ['MESSAGE_INVALID', Buffer.concat([hello, encodeFrame({ type: 'dance' })])],
  'a reply to nothing': [
    'MESSAGE_INVALID',
    Buffer.concat([hello, encodeFrame({ type: 'ack', id: 9, outcome: 'accepted' })]),
  ],
  'a circular question': [
    'FRAME_UNREADABLE',
    Buffer.concat([
      hello,
      framed(
        new Packr({ useRecords: false, structuredClone: true }).pack({
          type: 'query',
          id: 1,
          question: circular,
        }),
      ),
    ]),
  ],
  'arrays as deep as a frame': [
    'FRAME_UNREADABLE',
    Buffer.concat([hello, framed(Buffer.alloc(FRAME_BYTES_MAX, 0x91))]),
  ],
  'a huge text for a name': [
    'MESSAGE_INVALID',
    Buffer.concat([
      hello,
      encodeFrame({ type: 'announce', id: 1, name: 'n'.repeat(60_000), sizeBytes: 1, sha256: '' }),
    ]),
  ],
}

t.test('an offender is told the code and hung up on, nobody else notices', async t => {
  const { path, closings, received, goodPeerIsAnswered } = await scene(t)
  for (const [name, [code, bytes]] of Object.entries(OFFENCES)) {
    const before = closings.length
    const peer = await rawPeer(t, path)
    wire(peer, bytes)
    await peer.closed()
    t.equal(peer.errorCode, code, name)
    t.equal(peer.frames[0]?.type, 'hello', `${name}: our hello came first`)
    await eventually('the server knows', () => closings.length === before + 1)
    t.match(closings.at(-1), { code }, `${name}: the owner is told`)
    await goodPeerIsAnswered()
    closings.length = 0
  }
  t.same([...new Set(received)], ['query'], 'no offence reached the owner as a message')
})

t.test('what follows an offence in the same bytes is not taken', async t => {
  const { path, received, goodPeerIsAnswered } = await scene(t)
  const peer = await rawPeer(t, path)
  wire(peer, hello, prefix(0), encodeFrame({ type: 'ping', id: 1 }))
  await peer.closed()
  t.same(received, [])
  await goodPeerIsAnswered()
})

t.test('a flood behind a huge length is not kept', async t => {
  const { path, goodPeerIsAnswered } = await scene(t)
  const peer = await rawPeer(t, path)
  const before = process.memoryUsage()
  wire(peer, hello, prefix(0x7fff_ffff))
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < 64 && !peer.isClosed; i += 1) {
    if (!peer.socket.write(block)) await sleep(0)
  }
  await peer.closed()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  peer.socket.destroy()
  t.ok(heapUsed - before.heapUsed < 32 << 20, 'heap')
  t.ok(arrayBuffers - before.arrayBuffers < 16 << 20, 'buffers')
  await goodPeerIsAnswered()
})

t.test('half a frame and then the end is an orderly end', async t => {
  const { path, closings, goodPeerIsAnswered } = await scene(t)
  for (const bytes of [hello.subarray(0, 3), hello.subarray(0, 20), Buffer.alloc(0)]) {
    const peer = await rawPeer(t, path)
    wire(peer, bytes)
    peer.socket.end()
    await peer.closed()
    await eventually('the server knows', () => closings.length > 0)
    t.same(closings.splice(0), [undefined], `after ${bytes.length} bytes`)
    t.equal(peer.errorCode, undefined)
    await goodPeerIsAnswered()
  }
})

t.test('a peer that resets the connection troubles nobody', async t => {
  const { path, closings, goodPeerIsAnswered } = await scene(t)
  for (let i = 0; i < 20; i += 1) {
    const peer = await rawPeer(t, path)
    peer.send(HELLO, { type: 'query', id: 1, question: { kind: 'after', number: 0 } })
    peer.socket.destroy()
  }
  await eventually('all are gone', () => closings.length === 20)
  await goodPeerIsAnswered()
})

t.test('deadlines: no hello, a slow hello, a slow frame', async t => {
  const { path, closings, goodPeerIsAnswered } = await scene(t)
  const silent = await rawPeer(t, path)
  const slowHello = await rawPeer(t, path)
  const slowFrame = await rawPeer(t, path)
  slowFrame.send(HELLO)
  const bytes = encodeFrame({ type: 'announce', name: 'x'.repeat(900) })
  const drip = async (peer: RawPeer, from: Buffer): Promise<void> => {
    for (let i = 0; i < from.length && !peer.isClosed; i += 1) {
      peer.socket.write(from.subarray(i, i + 1))
      await sleep(60)
    }
  }
  const drips = [drip(slowHello, hello), drip(slowFrame, bytes)]
  for (const peer of [silent, slowHello, slowFrame]) {
    await peer.closed()
    t.equal(peer.errorCode, 'FRAME_TOO_SLOW')
  }
  await Promise.all(drips)
  t.same(
    closings.map(error => (error as { code?: string } | undefined)?.code),
    ['FRAME_TOO_SLOW', 'FRAME_TOO_SLOW', 'FRAME_TOO_SLOW'],
  )
  await goodPeerIsAnswered()
})

t.test('a peer that does not read is cut off, with a bound on what is kept for it', async t => {
  let victim: Channel | undefined
  const { path, closings, goodPeerIsAnswered } = await scene(t, (channel, { role }) => {
    if (role === 'generator') victim = channel
  })
  const peer = await rawPeer(t, path)
  peer.send({ ...HELLO, role: 'generator' })
  const channel = await eventually('it is open', () => victim)
  peer.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  const settled = {
    type: 'settled',
    name: 'n'.repeat(900),
    sha256: 'ab'.repeat(32),
    outcome: 'applied',
  } as const
  for (let i = 0; i < 50_000; i += 1) channel.send(settled)
  const grown = process.memoryUsage().arrayBuffers - before
  t.ok(grown < 8 * SEND_BUFFER_BYTES_MAX, `${grown} bytes were kept`)
  await eventually('it is cut off', () => closings.length === 1)
  t.match(closings[0], { code: 'PEER_NOT_READING' })
  t.notOk(channel.isOpen)
  peer.socket.resume()
  await peer.closed()
  await goodPeerIsAnswered()
})

t.test('a peer that asks much and reads nothing is cut off too', async t => {
  const { path, closings, goodPeerIsAnswered } = await scene(t)
  const peer = await rawPeer(t, path)
  peer.socket.pause()
  peer.send(HELLO)
  const question = encodeFrame({ type: 'query', id: 1, question: { kind: 'after', number: 0 } })
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => question))
  await eventually('it is cut off', () => {
    if (closings.length > 0) return true
    if (peer.socket.writable && peer.socket.writableLength < many.length) peer.socket.write(many)
    return false
  })
  await goodPeerIsAnswered()
})
