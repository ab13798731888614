import { randomInt } from 'node:crypto'
import t from 'tap'
import { CountersinkError } from '../../shared/errors.ts'
import { parseMessage } from '../../shared/protocol.ts'
import { decodePayload, encodeFrame, FrameSplitter } from '../../shared/socket/frames.ts'

// Mutated frames: whatever comes, the only thing ever thrown is a CountersinkError, and a good
// message is still understood afterwards. `FUZZ_SEED=n` repeats a run.

const FRAMES = 40_000
const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31))
const sha256 = 'ab'.repeat(32)
const SAMPLES: readonly object[] = [
  { type: 'hello', protocol: 'countersink', version: 1, role: 'client', pid: 1 },
  { type: 'error', code: 'X', message: 'y' },
  { type: 'announce', id: 1, name: 'a.txt', sizeBytes: 2 ** 40, sha256, lines: 3, amount: '12' },
  { type: 'ack', id: 1, outcome: 'later', reason: 'x' },
  { type: 'settled', name: 'a', sha256, outcome: 'applied' },
  { type: 'pong', id: 1, health: { queue: { files: 1 }, list: [1, 2n ** 60n, null, 1.5] } },
  { type: 'query', id: 1, question: { kind: 'newest', before: 3, outcome: 'applied' } },
  { type: 'query', id: 1, question: { kind: 'content', prefix: 'abababab' } },
  { type: 'answer', id: 1, body: { files: [{ a: 1 }], when: new Date(0), re: /x/ } },
]
/** First bytes of every kind of msgpack value, and of msgpackr's own extensions. */
const TAGS = [
  ...[0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd6, 0xd8, 0xd9, 0xdb],
  ...[0xdc, 0xdd, 0xde, 0xdf, 0x72, 0x69, 0x70, 0x78, 0x65, 0x73, 0x74, 0x42, 0xff, 0x80, 0x91],
]

/** mulberry32 */
function random(state: number): (below: number) => number {
  let a = state
  return below => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below
  }
}

function mutate(bytes: Buffer, pick: (below: number) => number): Buffer {
  const below = (n: number): number => Math.floor(pick(n))
  let result = Buffer.from(bytes)
  for (let times = 1 + below(4); times > 0 && result.length > 0; times -= 1) {
    const at = below(result.length)
    switch (below(6)) {
      case 0:
        result[at] = below(256)
        break
      case 1:
        result[at] = TAGS[below(TAGS.length)]!
        break
      case 2:
        result = result.subarray(0, at)
        break
      case 3:
        result = Buffer.concat([
          result.subarray(0, at),
          Buffer.from([TAGS[below(TAGS.length)]!, below(256)]),
          result.subarray(at),
        ])
        break
      case 4:
        result = Buffer.concat([result.subarray(0, at), result.subarray(below(result.length))])
        break
      case 5:
        result.fill(below(256), at, Math.min(result.length, at + below(8)))
        break
    }
  }
  return result
}

t.test('mutated payloads', async t => {
  t.comment(`FUZZ_SEED=${seed}`)
  const pick = random(seed)
  const payloads = SAMPLES.map(sample => encodeFrame(sample).subarray(4))
  const counts = { taken: 0, refused: 0 }
  for (let i = 0; i < FRAMES; i += 1) {
    const payload = mutate(payloads[Math.floor(pick(payloads.length))]!, pick)
    try {
      parseMessage(decodePayload(payload))
      counts.taken += 1
    } catch (error) {
      counts.refused += 1
      if (!(error instanceof CountersinkError)) {
        t.fail(`FUZZ_SEED=${seed} frame ${i} ${payload.toString('hex')}: ${error}`)
        return
      }
    }
    if (i % 500 !== 0) continue
    const good = { type: 'ping', id: i }
    t.same(parseMessage(decodePayload(encodeFrame(good).subarray(4))), good, 'the decoder is well')
  }
  t.notOk('polluted' in {}, 'no prototype was touched')
  t.same(Object.keys(Object.prototype), [])
  t.ok(counts.refused > FRAMES / 3 && counts.taken > FRAMES / 100, JSON.stringify(counts))
})

t.test('mutated streams', async t => {
  t.comment(`FUZZ_SEED=${seed}`)
  const pick = random(seed + 1)
  for (let i = 0; i < 5_000; i += 1) {
    const stream = mutate(Buffer.concat(SAMPLES.map(encodeFrame)), pick)
    const splitter = new FrameSplitter()
    try {
      for (let at = 0; at < stream.length; ) {
        const end = at + 1 + Math.floor(pick(300))
        for (const payload of splitter.push(stream.subarray(at, end))) {
          parseMessage(decodePayload(payload))
        }
        at = end
      }
    } catch (error) {
      if (!(error instanceof CountersinkError)) {
        t.fail(`FUZZ_SEED=${seed} stream ${i} ${stream.toString('hex')}: ${error}`)
        return
      }
    }
  }
  t.pass('only CountersinkErrors were thrown')
})
