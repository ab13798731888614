import t, { type Test } from 'tap'
import type { AnnounceResult } from '../../../parser/intake/earlier-acks.ts'
import { Listener } from '../../../parser/intake/listener.ts'
import { CONNECTIONS_MAX, REASON_CHARACTERS_MAX } from '../../../shared/limits.ts'
import { silentLog } from '../../../shared/log.ts'
import type { Announce, ParserHealth, ProcessedFile, Settled } from '../../../shared/protocol.ts'
import type { Channel } from '../../../shared/socket/channel.ts'
import { openChannel } from '../../../shared/socket/connecting.ts'
import { eventually, failureOf, tempDir } from '../../shared/helpers.ts'
import { sha256 } from '../helpers.ts'

// What the parser's socket does with announcements, pings and questions, over real connections; the
// inbox behind it is the test.

const HASH = sha256('1 2\n')
const COUNTS = {
  applied: 0,
  duplicate: 0,
  quarantined: 0,
  reverted: 0,
  held: 0,
  bytes: 0,
  lines: 0,
}
const HEALTH: ParserHealth = {
  ...{ role: 'parser', pid: process.pid, state: 'running', database: 'ready', processed: 7 },
  ...{ uptimeSeconds: 1, lastProgressAtMs: 1, eventLoopDelayMs: 0 },
  ...{ queue: { files: 0, bytes: 0 }, sinceStart: COUNTS, ever: COUNTS },
}

const settledFile = (more: Partial<ProcessedFile> = {}): ProcessedFile => ({
  ...{ number: 1, name: 'as-claimed', sha256: HASH, sizeBytes: 4, lines: 1, amount: '2' },
  ...{ outcome: 'applied', claimedAtMs: 1, digestStartedAtMs: 2, digestedAtMs: 3, settledAtMs: 4 },
  ...more,
})

interface Peer {
  readonly channel: Channel
  /** What it was told without asking. */
  readonly told: Settled[]
  announce(name: string): Promise<{ outcome: string; reason?: string }>
}

interface Options {
  readonly announce?: (announce: Announce) => Promise<AnnounceResult>
  readonly answer?: (question: { kind: string }) => Promise<never>
}

/** A listener, and peers of it; without an `announce` all files are claimed, as one and the same. */
async function scene(t: Test, { announce, answer }: Options = {}) {
  const path = `${tempDir(t)}/s`
  const listener = new Listener({
    announce: announce ?? (async () => ({ outcome: 'accepted', sequence: 5 })),
    health: () => HEALTH,
    answer: answer ?? (async () => ({}) as never),
  })
  await listener.listen(path, silentLog)
  t.teardown(() => listener.close())
  const peer = async (): Promise<Peer> => {
    const told: Settled[] = []
    const channel = await openChannel(path, 'generator', {
      onMessage: message => {
        if (message.type === 'settled') told.push(message)
      },
    })
    t.teardown(() => channel.close())
    return {
      channel,
      told,
      announce: name =>
        channel.request<'ack'>({ type: 'announce', name, sizeBytes: 4, sha256: HASH }),
    }
  }
  return { path, listener, peer }
}

/** Whatever was sent to it before has come. */
const hasHeard = ({ channel }: Peer) => channel.request<'pong'>({ type: 'ping' })

t.test('who announced a file hears once what became of it, under the name it gave', async t => {
  const { listener, peer } = await scene(t)
  const [one, other, stranger] = [await peer(), await peer(), await peer()]
  t.match(await one.announce('one'), { outcome: 'accepted' })
  t.match(await other.announce('first'), { outcome: 'accepted' })
  t.match(await other.announce('other'), { outcome: 'accepted' })
  listener.settled(settledFile({ outcome: 'quarantined', reason: 'BAD_LINE' }), 5)
  listener.settled(settledFile(), 5)
  listener.settled(settledFile(), 6)
  for (const one of [other, stranger]) await hasHeard(one)
  await hasHeard(one)
  const settled = { type: 'settled', sha256: HASH, outcome: 'quarantined', reason: 'BAD_LINE' }
  t.same(one.told, [{ ...settled, name: 'one' }])
  t.same(other.told, [{ ...settled, name: 'other' }])
  t.same(stranger.told, [])
})

t.test('one that was settled before is told of at once, after the ack', async t => {
  const { peer } = await scene(t, {
    announce: async () => ({ outcome: 'known', settled: settledFile({ outcome: 'duplicate' }) }),
  })
  const one = await peer()
  t.match(await one.announce('again'), { outcome: 'known' })
  await hasHeard(one)
  t.match(one.told, [{ name: 'again', outcome: 'duplicate' }])
})

t.test('a refusal has its reason, as much as a message holds', async t => {
  const { peer } = await scene(t, {
    announce: async () => ({ outcome: 'refused', reason: 'x'.repeat(1_000) }),
  })
  const { reason } = await (await peer()).announce('refused')
  t.equal(reason, 'x'.repeat(REASON_CHARACTERS_MAX))
})

t.test('a peer that goes is forgotten, also while its file is being claimed', async t => {
  const claims: ((result: AnnounceResult) => void)[] = []
  const { listener, peer } = await scene(t, {
    announce: ({ name }) =>
      name === 'slow'
        ? new Promise(resolve => claims.push(resolve))
        : Promise.resolve({ outcome: 'accepted', sequence: 5 }),
  })
  const [gone, leaving, staying] = [await peer(), await peer(), await peer()]
  await gone.announce('quick')
  await staying.announce('quick')
  const failure = failureOf(leaving.announce('slow'))
  await eventually('it is being claimed', () => claims.length === 1)
  for (const { channel } of [gone, leaving]) channel.close()
  t.match(await failure, { code: 'CHANNEL_CLOSED' })
  await eventually('both are gone', () => [gone, leaving].every(p => p.channel.state === 'closed'))
  claims[0]?.({ outcome: 'accepted', sequence: 5 })
  await hasHeard(staying)
  listener.settled(settledFile(), 5)
  await hasHeard(staying)
  t.match(staying.told, [{ name: 'quick' }])
  t.same([gone.told, leaving.told], [[], []])
})

t.test('pings are answered with the health, while an announcement waits', async t => {
  const { peer } = await scene(t, { announce: () => new Promise(() => {}) })
  const one = await peer()
  const failure = failureOf(one.announce('never'))
  t.same((await hasHeard(one)).health, HEALTH)
  one.channel.close()
  t.match(await failure, { code: 'CHANNEL_CLOSED' })
})

t.test('questions of one peer are taken in turn; a close waits for the last', async t => {
  const asked: { kind: string; answer: (body: never) => void }[] = []
  const { listener, peer } = await scene(t, {
    answer: ({ kind }) => new Promise(resolve => asked.push({ kind, answer: resolve })),
  })
  const [one, other] = [await peer(), await peer()]
  const ask = ({ channel }: Peer, question: object) =>
    channel.request<'answer'>({ type: 'query', question })
  const first = ask(one, { kind: 'newest' })
  const second = failureOf(ask(one, { kind: 'queue', after: 0 }))
  await eventually('the first is asked', () => asked.length === 1)
  const third = ask(other, { kind: 'after', number: 0 })
  await eventually('another peer is not held up', () => asked.length === 2)
  t.same(
    asked.map(({ kind }) => kind),
    ['newest', 'after'],
  )
  asked[1]?.answer({ of: 'after' } as never)
  t.match(await third, { body: { of: 'after' } })
  asked[0]?.answer({ of: 'newest' } as never)
  t.match(await first, { body: { of: 'newest' } })
  await eventually('the second is asked', () => asked.length === 3)
  let isClosed = false
  const closed = listener.close().then(() => (isClosed = true))
  t.match(await second, { code: 'CHANNEL_CLOSED' })
  t.notOk(isClosed, 'it is still looked into')
  asked[2]?.answer({} as never)
  await closed
})

t.test('who waits to hear of a file keeps its place until it has heard', async t => {
  const { listener, peer } = await scene(t)
  const waiting = await peer()
  await waiting.announce('mine')
  const crowd: Peer[] = []
  for (let n = 0; n < CONNECTIONS_MAX; n += 1) {
    const one = await peer()
    await hasHeard(one)
    crowd.push(one)
  }
  await eventually('one of the others has given way', () => !crowd[0]?.channel.isOpen)
  t.ok(waiting.channel.isOpen)
  listener.settled(settledFile(), 5)
  await eventually('it has heard', () => waiting.told.length === 1)
  await peer()
  await eventually('it has waited longest, for nothing', () => !waiting.channel.isOpen)
  t.ok(crowd[1]?.channel.isOpen)
})
