import { Packr } from 'msgpackr'
import t from 'tap'
import { CountersinkError, hasCode } from '../../../shared/errors.ts'
import { FRAME_BYTES_MAX } from '../../../shared/limits.ts'
import { parseMessage } from '../../../shared/protocol.ts'
import { decodePayload, encodeFrame, FrameSplitter } from '../../../shared/socket/frames.ts'
import { failureOf } from '../helpers.ts'

function split(...chunks: readonly Buffer[]): unknown[] {
  const splitter = new FrameSplitter()
  return chunks.flatMap(chunk => [...splitter.push(chunk)].map(decodePayload))
}

const length = (bytes: number): Buffer => {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(bytes)
  return prefix
}

t.test('a frame is a length and one msgpack map', async t => {
  const frame = encodeFrame({ type: 'ping', id: 7 })
  t.equal(frame.readUInt32BE(0), frame.length - 4)
  t.same(split(frame), [{ type: 'ping', id: 7 }])
})

t.test('any cut of the stream gives the same messages', async t => {
  const messages = [{ a: 1 }, { text: 'x'.repeat(300) }, { b: [1, 2] }, { c: null }]
  const stream = Buffer.concat(messages.map(encodeFrame))
  for (let step = 1; step <= stream.length; step += step < 12 ? 1 : 37) {
    const chunks: Buffer[] = []
    for (let at = 0; at < stream.length; at += step) chunks.push(stream.subarray(at, at + step))
    t.same(split(...chunks), messages, `in steps of ${step}`)
  }
})

t.test('it says whether it stands inside a frame', async t => {
  const splitter = new FrameSplitter()
  const frame = encodeFrame({ a: 'b' })
  t.notOk(splitter.insideFrame)
  t.equal([...splitter.push(frame.subarray(0, 1))].length, 0)
  t.ok(splitter.insideFrame, 'one byte of the length is inside')
  t.equal([...splitter.push(frame.subarray(1))].length, 1)
  t.notOk(splitter.insideFrame)
  t.equal([...splitter.push(Buffer.concat([frame, frame.subarray(0, 5)]))].length, 1)
  t.ok(splitter.insideFrame)
})

t.test('lengths of zero and beyond the limit are refused from the length alone', async t => {
  for (const [bytes, code] of [
    [0, 'FRAME_EMPTY'],
    [FRAME_BYTES_MAX + 1, 'FRAME_TOO_LARGE'],
    [0xffff_ffff, 'FRAME_TOO_LARGE'],
  ] as const) {
    const splitter = new FrameSplitter()
    t.match(await failureOf(() => [...splitter.push(length(bytes))]), { code }, `${bytes}`)
    t.notOk(splitter.insideFrame, 'nothing of it is kept')
  }
  const largest = Buffer.concat([length(FRAME_BYTES_MAX), Buffer.alloc(FRAME_BYTES_MAX)])
  t.equal([...new FrameSplitter().push(largest)].length, 1, 'the limit itself is allowed')
})

t.test('what stays of a chunk does not pin it', async t => {
  const splitter = new FrameSplitter()
  const chunk = Buffer.concat([encodeFrame({ a: 1 }), encodeFrame({ secret: 2 }).subarray(0, 6)])
  t.equal([...splitter.push(chunk)].length, 1)
  const rest = encodeFrame({ secret: 2 }).subarray(6)
  chunk.fill(0)
  t.same([...splitter.push(rest)].map(decodePayload), [{ secret: 2 }])
})

t.test('our own message beyond the limit is refused before it is sent', async t => {
  const text = 'x'.repeat(FRAME_BYTES_MAX - 8)
  t.ok(encodeFrame({ a: text }).length <= FRAME_BYTES_MAX + 4)
  t.match(await failureOf(() => encodeFrame({ a: `${text}12345678` })), { code: 'FRAME_TOO_LARGE' })
})

t.test(
  'a payload that is not one msgpack value is unreadable, and says so in few words',
  async t => {
    const two = Buffer.concat([
      Buffer.from([0xd9, 200]),
      Buffer.alloc(200, 0x61),
      Buffer.from([0xc0]),
    ])
    const deep = Buffer.alloc(FRAME_BYTES_MAX, 0x91)
    const bombs = [0xdd, 0xdf, 0xdb, 0xc6].map(type => Buffer.from([type, 255, 255, 255, 255, 0]))
    const unknownExtension = Buffer.from([0xd4, 0x55, 0])
    for (const payload of [two, deep, unknownExtension, ...bombs, Buffer.from([0x93, 1])]) {
      const error = await failureOf(() => decodePayload(payload))
      t.match(error, { code: 'FRAME_UNREADABLE' }, payload.subarray(0, 3).toString('hex'))
      t.ok(error.message.length < 200, 'it does not carry the payload')
    }
  },
)

t.test('maps cannot reach a prototype', async t => {
  const payload = new Packr({ useRecords: false }).pack(
    new Map<string, unknown>([
      ['__proto__', { polluted: true }],
      ['type', 'ping'],
      ['id', 1],
    ]),
  )
  const value = decodePayload(payload) as object
  t.equal(Object.getPrototypeOf(value), Object.prototype)
  t.notOk('polluted' in value)
  t.same(parseMessage(value), { type: 'ping', id: 1 })
})

t.test('circular and shared values come to an end', async t => {
  const circular: Record<string, unknown> = { type: 'query', id: 1 }
  circular.question = circular
  const packr = new Packr({ useRecords: false, structuredClone: true })
  try {
    const message = parseMessage(decodePayload(packr.pack(circular)))
    t.fail(`a circular question was taken for ${message.type}`)
  } catch (error) {
    t.ok(hasCode(error, 'MESSAGE_INVALID', 'FRAME_UNREADABLE'), String(error))
    t.ok(error instanceof CountersinkError)
  }
  t.same(split(encodeFrame({ still: 'fine' })), [{ still: 'fine' }], 'the decoder goes on')
})
