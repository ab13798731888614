import { randomInt } from 'node:crypto'
import { Packr } from 'msgpackr'
import t from 'tap'
import { CountersinkError } from '../../../shared/errors.ts'
import { FRAME_BYTES_MAX } from '../../../shared/limits.ts'
import { decodePayload, FrameSplitter } from '../../../shared/socket/frames.ts'
import { failureOf } from '../helpers.ts'

// No payload costs more than its length suggests, whatever is in it. `FUZZ_SEED=n` repeats a run.

const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31))
/** Far above what a plain message takes (some 10 µs a KiB), far below what any bomb takes. */
const CPU_MS_PER_PAYLOAD = 250
const HEAP_BYTES = 64 * 2 ** 20

function cpuMs(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const pack = (value: unknown): Buffer => new Packr({ useRecords: false }).pack(value)
const TOO_MUCH = Buffer.from([0])

/** A list of two references to the next, and so on: 2^depth when it is walked. */
function references(depth: number): Buffer {
  const parts: Buffer[] = []
  for (let n = depth; n >= 1; n -= 1) {
    parts.push(Buffer.from([0xd6, 0x69]), u32(n), Buffer.from([0x92]))
  }
  parts.push(Buffer.from([0xd6, 0x69]), u32(0), Buffer.from([0x90]))
  for (let n = 1; n <= depth; n += 1) parts.push(Buffer.from([0xd6, 0x70]), u32(n - 1))
  return Buffer.concat(parts)
}

/** One record with a long key, named again and again. */
function records(keyLength: number, times: number): Buffer {
  const list = Buffer.from([0xdc, (times + 1) >> 8, (times + 1) & 0xff])
  const definition = Buffer.concat([Buffer.from([0xd4, 0x72, 0x40]), pack(['k'.repeat(keyLength)])])
  const first = Buffer.from([0])
  return Buffer.concat([list, definition, first, Buffer.alloc(2 * times, Buffer.from([0x40, 0]))])
}

const whole = (byte: number): Buffer => Buffer.alloc(FRAME_BYTES_MAX, byte)
/** Lists of announced length 4,294,967,295, each in the other. */
const announced = (tag: number): Buffer =>
  Buffer.concat(Array.from({ length: 13_000 }, () => Buffer.from([tag, 255, 255, 255, 255])))
const shortKeys = Array.from({ length: 9_000 }, (_, i) => i.toString(36))

const BOMBS: Readonly<Record<string, Buffer>> = {
  references: references(25),
  'references, and a byte too much': Buffer.concat([references(25), TOO_MUCH]),
  'references to the end of the frame': references(4_000),
  records: records(20_000, 20_000),
  'records, and a byte too much': Buffer.concat([records(20_000, 20_000), TOO_MUCH]),
  'lists as deep as the frame': whole(0x91),
  'maps as deep as the frame': Buffer.alloc(FRAME_BYTES_MAX, Buffer.from([0x81, 0xa1, 0x61])),
  'lists that announce too much': announced(0xdd),
  'maps that announce too much': announced(0xdf),
  'a text that announces too much': Buffer.concat([Buffer.from([0xdb, 255, 255, 255, 255])]),
  'a map of thousands of keys': pack(Object.fromEntries(shortKeys.map(key => [key, 1]))),
  'a key that is a map': Buffer.from([0x81, 0x80, 0x01]),
  'a typed array': new Packr({ moreTypes: true, structuredClone: true }).pack(new Float64Array(99)),
  'a pattern': new Packr({ moreTypes: true, structuredClone: true }).pack(/(a+)+$/),
  'a date': pack(new Date(0)),
  'a number of thousands of bits': Buffer.concat([
    Buffer.from([0xc8, 0x80, 0, 0x42]),
    Buffer.alloc(0x8000, 0x7f),
  ]),
  'bundled texts': Buffer.concat([Buffer.from([0xd6, 0x62]), u32(60_000), whole(0xc1)]),
}

t.test('what a frame could cost is refused before it costs anything', async t => {
  for (const [name, payload] of Object.entries(BOMBS)) {
    let error: Error | undefined
    const spentMs = await (async () => {
      const before = process.cpuUsage()
      error = await failureOf(() => decodePayload(payload.subarray(0, FRAME_BYTES_MAX)))
      const { user, system } = process.cpuUsage(before)
      return (user + system) / 1_000
    })()
    t.match(error, { code: 'FRAME_UNREADABLE' }, name)
    t.ok(error!.message.length < 200, `${name}: its message is short`)
    t.ok(spentMs < CPU_MS_PER_PAYLOAD, `${name}: ${spentMs} ms`)
  }
  t.same(
    decodePayload(pack({ still: 'fine' })),
    { still: 'fine' },
    'nothing is kept between frames',
  )
})

t.test('a plain frame of any make is decoded in proportion to its length', async t => {
  const names = Array.from({ length: 250 }, (_, i) => `name${i}`)
  const plain: Readonly<Record<string, Buffer>> = {
    'many small numbers': pack(Array.from({ length: 65_000 }, () => 1)),
    'many empty lists': pack(Array.from({ length: 65_000 }, () => [])),
    'many empty maps': pack(Array.from({ length: 21_000 }, () => ({}))),
    'many short texts': pack(Array.from({ length: 32_000 }, () => 'a')),
    'many fractions': pack(Array.from({ length: 7_000 }, () => 0.1)),
    'one long text': pack('x'.repeat(65_000)),
    'a text of many bytes a letter': pack('€'.repeat(21_000)),
    'bytes without a meaning': pack(Buffer.alloc(65_000, 0xff)),
    'maps of many keys': pack(
      Array.from({ length: 25 }, () => Object.fromEntries(names.map(name => [name, 0]))),
    ),
  }
  for (const [name, payload] of Object.entries(plain)) {
    t.ok(payload.length <= FRAME_BYTES_MAX, name)
    const spentMs = cpuMs(() => decodePayload(payload))
    t.ok(spentMs < CPU_MS_PER_PAYLOAD, `${name}: ${spentMs} ms`)
  }
})

t.test('random payloads of every kind of tag', async t => {
  t.comment(`FUZZ_SEED=${seed}`)
  let state = seed
  const below = (n: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const TAGS = [0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0x91, 0x92, 0x81, 0xa1, 0xc1, 0xc7, 0xc9, 0xd4]
  TAGS.push(...[0xd6, 0xd8, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x40, 0x42, 0x62, 0x65, 0xff, 0])
  const before = process.memoryUsage().heapUsed
  const refusals = new Set<string>()
  const totalMs = cpuMs(() => {
    for (let i = 0; i < 3_000; i += 1) {
      const payload = Buffer.alloc(1 + below(i % 10 === 0 ? FRAME_BYTES_MAX : 400))
      for (let at = 0; at < payload.length; at += 1) payload[at] = TAGS[below(TAGS.length)]!
      try {
        decodePayload(payload)
      } catch (error) {
        if (!(error instanceof CountersinkError)) throw error
        refusals.add(error.message)
      }
    }
  })
  t.ok(totalMs < 20_000, `FUZZ_SEED=${seed}: ${totalMs} ms`)
  t.ok(process.memoryUsage().heapUsed - before < HEAP_BYTES, `FUZZ_SEED=${seed}`)
  t.ok([...refusals].every(one => one.length < 200))
})

t.test(
  'a frame that comes in single bytes costs little more than one that comes whole',
  async t => {
    const payload = pack('x'.repeat(FRAME_BYTES_MAX - 10))
    const frame = Buffer.concat([u32(payload.length), payload])
    const splitter = new FrameSplitter()
    const found: number[] = []
    const spentMs = cpuMs(() => {
      for (let at = 0; at < frame.length; at += 1) {
        for (const whole of splitter.push(frame.subarray(at, at + 1))) found.push(whole.length)
      }
    })
    t.same(found, [payload.length])
    t.ok(spentMs < 2 * CPU_MS_PER_PAYLOAD, `${spentMs} ms`)
  },
)
