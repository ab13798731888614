import t from 'tap'
import { REASON_CHARACTERS_MAX } from '../../shared/limits.ts'
import { boundedReason, failure, type Message, parseMessage } from '../../shared/protocol.ts'
import { decodePayload, encodeFrame } from '../../shared/socket/frames.ts'
import { failureOf, HEALTH } from './helpers.ts'

const sha256 = '0123456789abcdef'.repeat(4)
const counts = {
  applied: 1,
  duplicate: 0,
  quarantined: 0,
  reverted: 0,
  held: 0,
  bytes: 2 ** 40,
  lines: 2,
}
const health = {
  ...{ role: 'parser', pid: 1, state: 'running', reason: 'r', database: 'ready', processed: 1 },
  ...{ uptimeSeconds: 1, lastProgressAtMs: 2 ** 41, eventLoopDelayMs: 0.5 },
  queue: { files: 2, bytes: 3 },
  reading: { name: 'a', positionBytes: 1, sizeBytes: 2, resumedFromBytes: 0 },
  ...{ sinceStart: counts, ever: counts },
  sameNames: { files: 1, newest: [{ name: 'a', contents: 2 }] },
}

/** Every type with every field it can have, and another time with the optional ones left out. */
const MESSAGES: readonly Record<string, unknown>[] = [
  { type: 'hello', protocol: 'countersink', version: 1, role: 'parser', pid: 12 },
  { type: 'hello', protocol: 'x', version: 2, role: 'generator', pid: 0 },
  { type: 'error', code: 'FRAME_EMPTY', message: 'why' },
  { type: 'announce', id: 1, name: 'a.txt', sizeBytes: 2 ** 53 - 1, sha256 },
  {
    ...{ type: 'announce', id: 1, name: 'a.txt', sizeBytes: 0, sha256 },
    ...{ origin: '00ff'.repeat(8), publishedAtMs: 1_700_000_000_000 },
  },
  {
    ...{ type: 'announce', id: 1, name: '../ä', sizeBytes: 0, sha256, lines: 0 },
    amount: String(2n ** 128n - 1n),
  },
  { type: 'ack', id: 3, outcome: 'accepted' },
  { type: 'ack', id: 3, outcome: 'known', reason: '' },
  { type: 'ack', id: 3, outcome: 'later', reason: 'r'.repeat(REASON_CHARACTERS_MAX) },
  { type: 'ack', id: 2 ** 40, outcome: 'refused', reason: 'ü' },
  { type: 'settled', name: 'a', sha256, outcome: 'applied' },
  { type: 'settled', name: 'a', sha256, outcome: 'duplicate', reason: 'r' },
  { type: 'settled', name: 'a', sha256, outcome: 'quarantined', reason: 'r' },
  { type: 'ping', id: 1 },
  { type: 'pong', id: 1, health },
  { type: 'pong', id: 1, health: HEALTH },
  { type: 'query', id: 1, question: { kind: 'newest' } },
  { type: 'query', id: 1, question: { kind: 'newest', before: 5, outcome: 'quarantined' } },
  { type: 'query', id: 1, question: { kind: 'after', number: 0 } },
  { type: 'query', id: 1, question: { kind: 'content', prefix: '01234567' } },
  { type: 'query', id: 1, question: { kind: 'content', prefix: sha256 } },
  { type: 'answer', id: 1, body: { files: [], next: 3 } },
]

const overTheWire = (message: object): unknown => decodePayload(encodeFrame(message).subarray(4))
const invalid = { name: 'CountersinkError', code: 'MESSAGE_INVALID' }

t.test('every message comes out as it went in', async t => {
  for (const message of MESSAGES) {
    t.same(parseMessage(overTheWire(message)), message, JSON.stringify(message).slice(0, 80))
  }
})

t.test('a service that was started before an update says less of its counts', async t => {
  const earlier = { applied: 5, duplicate: 1, quarantined: 2, bytes: 3, lines: 4 }
  const told = { ...health, ...{ sinceStart: earlier, ever: earlier } }
  const message = parseMessage(overTheWire({ type: 'pong', id: 1, health: told }))
  const now = { ...earlier, ...{ reverted: 0, held: 0 } }
  t.match(message, { health: { sinceStart: now, ever: now, queue: health.queue } })
})

const NOT_A_COUNT = [-1, 1.5, Number.NaN, Infinity, 2 ** 53, 2n ** 64n - 1n, -1n, '1', true, {}]
const NOT_A_TEXT = [5, true, {}, [], new Date(0), Buffer.from('x')]
const LONG = 'x'.repeat(70_000)
const WRONG: Readonly<Record<string, readonly unknown[]>> = {
  type: [...NOT_A_TEXT, 'Hello', '', 'constructor', '__proto__', 'x'.repeat(21)],
  protocol: [...NOT_A_TEXT, 'x'.repeat(41)],
  version: NOT_A_COUNT,
  role: [...NOT_A_TEXT, 'toString', 'Parser'],
  pid: NOT_A_COUNT,
  code: [...NOT_A_TEXT, 'x'.repeat(61)],
  message: [...NOT_A_TEXT, 'x'.repeat(2_001)],
  id: NOT_A_COUNT,
  name: [...NOT_A_TEXT, 'x'.repeat(1_001), LONG],
  sizeBytes: NOT_A_COUNT,
  sha256: [...NOT_A_TEXT, '', sha256.toUpperCase(), `${sha256}0`, sha256.slice(1), 'g'.repeat(64)],
  lines: NOT_A_COUNT,
  amount: [...NOT_A_TEXT, '', '-1', '1e3', '0x1', ' 1', String(2n ** 128n), '9'.repeat(41), 5n],
  origin: [...NOT_A_TEXT, '', 'a'.repeat(31), 'A'.repeat(32), 'a'.repeat(33)],
  publishedAtMs: [...NOT_A_COUNT, 2 ** 53 - 1, Date.UTC(10_000, 0), 1.7e15],
  outcome: [...NOT_A_TEXT, 'Applied', 'hasOwnProperty', ''],
  reason: [...NOT_A_TEXT, 'r'.repeat(REASON_CHARACTERS_MAX + 1)],
  health: [
    ...['', 5, true, 5n, {}, { ...health, role: 'client' }, { ...health, role: 'generator' }],
    ...[
      { ...health, ever: undefined },
      { ...health, queue: { files: '2', bytes: 3 } },
    ],
    ...[
      { ...health, reading: 'a' },
      { ...health, sameNames: { files: 1, newest: [{}] } },
    ],
  ],
  question: ['', 5, true, { kind: 'all' }, {}, [], { kind: ['newest'] }],
  body: ['', 5, true],
}
const OPTIONAL = new Set(['lines', 'amount', 'reason', 'origin', 'publishedAtMs'])

t.test('every field that is wrong is refused', async t => {
  for (const message of MESSAGES) {
    for (const key of Object.keys(message)) {
      const name = `${message.type}.${key}`
      for (const wrong of [null, ...(WRONG[key] ?? [])]) {
        const error = await failureOf(() => parseMessage({ ...message, [key]: wrong }))
        t.match(error, invalid, `${name} = ${String(JSON.stringify(wrong, bigints)).slice(0, 40)}`)
        t.ok(error.message.length < 400, 'the refusal is short')
      }
      const { [key]: _gone, ...rest } = message
      if (OPTIONAL.has(key)) t.same(parseMessage(rest), rest, `${name} may be missing`)
      else t.match(await failureOf(() => parseMessage(rest)), invalid, `${name} is missing`)
    }
  }
})

t.test('every field of a question that is wrong is refused', async t => {
  const ask = (question: object): Message => parseMessage({ type: 'query', id: 1, question })
  const wrongs: object[] = [
    ...NOT_A_COUNT.map(number => ({ kind: 'after', number })),
    ...NOT_A_COUNT.map(before => ({ kind: 'newest', before })),
    ...['applied ', 7, null].map(outcome => ({ kind: 'newest', outcome })),
    ...['', '0123456', `${sha256}0`, 'ABCDEF01', '%_%_%_%_', 8, null].map(prefix => ({
      kind: 'content',
      prefix,
    })),
    { kind: 'after' },
    { kind: 'content' },
  ]
  for (const wrong of wrongs) {
    t.match(await failureOf(() => ask(wrong)), invalid, JSON.stringify(wrong, bigints))
  }
})

t.test('what is no map is refused', async t => {
  for (const value of [null, undefined, 5, 'hello', true, 1n, [], () => 1, Symbol('x')]) {
    t.match(await failureOf(() => parseMessage(value)), invalid, String(value))
  }
})

t.test('only own properties count, and unknown ones are left behind', async t => {
  const inherited = Object.create({ type: 'ping', id: 1 })
  t.match(await failureOf(() => parseMessage(inherited)), invalid)
  const half = Object.assign(Object.create({ id: 1 }), { type: 'ping' })
  t.match(await failureOf(() => parseMessage(half)), invalid)
  const hostile = JSON.parse('{"__proto__": {"id": 5, "admin": true}, "type": "ping", "id": 2}')
  const message = parseMessage({ ...hostile, constructor: 1, toString: 2 })
  t.same(message, { type: 'ping', id: 2 })
  t.equal(Object.getPrototypeOf(message), Object.prototype)
  t.notOk('admin' in {}, 'nothing is polluted')
})

t.test('sizes may come as uint64 or uint32', async t => {
  const announce = { type: 'announce', id: 1, name: 'a', sha256 }
  for (const sizeBytes of [0n, 5n, 2n ** 32n, 2n ** 53n - 1n]) {
    const expected = { ...announce, sizeBytes: Number(sizeBytes) }
    t.same(parseMessage({ ...announce, sizeBytes }), expected)
    t.same(parseMessage(overTheWire({ ...announce, sizeBytes })), expected, 'as uint64 on the wire')
  }
})

t.test('what is said to a peer fits its limits', async t => {
  t.same(parseMessage(failure('IO_FAILED', LONG)).type, 'error')
  t.equal(boundedReason('short'), 'short')
  t.equal(boundedReason('r'.repeat(REASON_CHARACTERS_MAX)).length, REASON_CHARACTERS_MAX)
  const cut = boundedReason('r'.repeat(REASON_CHARACTERS_MAX + 1))
  t.equal(cut.length, REASON_CHARACTERS_MAX)
  t.same(
    parseMessage({ type: 'settled', name: 'a', sha256, outcome: 'applied', reason: cut }).type,
    'settled',
  )
})

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}
