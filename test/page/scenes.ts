/** What a service may say: at work, with nothing yet, in trouble, and with names that mean harm. */

import { createHash } from 'node:crypto'
import { type Answers, Refusal } from './fixture-service.ts'

export const sha = (of: string | number): string =>
  createHash('sha256').update(`${of}`).digest('hex')

export const U64_MAX = '18446744073709551615'
/** Of a total: sums go past 2^64. */
export const WIDE_SUM = '340282366920938463463374607431768211455'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
const NOON_MS = Date.parse('2026-11-26T12:00:00.000Z')
const iso = (ms: number): string => new Date(ms).toISOString()

const counts = { applied: 100_000, duplicate: 212, quarantined: 3, reverted: 1, held: 1 }

export const status = {
  ...{ answeredBy: 'parser', journal: null },
  supervisor: { state: 'running', pid: 4100, uptimeSeconds: 266_000 },
  parser: {
    state: 'running',
    pid: 4107,
    uptimeSeconds: 265_990,
    restarts: 0,
    eventLoopDelayMs: 1.4,
  },
  generator: {
    ...{ state: 'stopped', pid: null, uptimeSeconds: null, restarts: 0 },
  },
  serving: {
    ...{ state: 'running', pid: 4111, uptimeSeconds: 265_988, restarts: 2, eventLoopDelayMs: 0.7 },
    address: '127.0.0.1:8321',
  },
  queue: { files: 14, bytes: 1_932_735_283 },
  reading: {
    ...{ name: 'usage-2026-11-26T12.txt', positionBytes: 710_000_000, sizeBytes: 1_073_741_824 },
    resumedFromBytes: 0,
  },
  database: {
    ...{ kind: 'yours', remembered: 'mariadb://countersink@db1:3306/billing', state: 'ready' },
    host: 'db1',
  },
  sinceStart: { ...counts, bytes: 2_199_023_255_552, lines: 81_920_441_209 },
  ever: { ...counts, bytes: 2_199_023_255_552, lines: 81_920_441_209, rejectedLines: 17 },
  sameNames: { files: 0, newest: [] },
  grewAfterwards: { files: 0, newest: [] },
  leftInInbox: { files: 0, reasons: [] },
  inboxAway: null,
  held: { files: 1, first: [{ name: 'month.txt', sha256: sha('held'), since: iso(NOON_MS) }] },
  orders: { orders: 0, first: [] },
  usage: null,
  unmoved: { files: 0, first: [] },
  lastProgressAt: iso(NOON_MS - 1_500),
}

const nameOf = (n: number): string => `usage-2026-11-${`${n}`.padStart(6, '0')}.txt`

export function settledFile(n: number, name = nameOf(n)) {
  const outcome = n % 7 === 3 ? 'duplicate' : n % 11 === 5 ? 'quarantined' : 'applied'
  return {
    ...{
      sha256: sha(n),
      size: 20_971_520 + n * 7,
      lines: 2_166_155 + n,
      amount: `${141_940_679_793n + BigInt(n) ** 3n}`,
    },
    ...{ outcome, name, time: iso(NOON_MS - n * 40_000) },
    ...(outcome === 'quarantined'
      ? { reason: 'AMOUNT_NOT_DIGITS: line 2, byte 3 of it (it starts at offset 4): "1 x"' }
      : {}),
    claimedAt: iso(NOON_MS - n * 40_000 - 900),
    ...{
      digestStartedAt: iso(NOON_MS - n * 40_000 - 800),
      digestedAt: iso(NOON_MS - n * 40_000 - 300),
    },
    settledAt: iso(NOON_MS - n * 40_000),
  }
}

/** A ledger of so many files, a page at a time and looked for by what is asked. */
export function manyFiles(total: number) {
  return (query: URLSearchParams): unknown => {
    const first = Number(query.get('after') ?? 0)
    const name = query.get('name') ?? ''
    const found: unknown[] = []
    let n = first
    while (n < total && found.length < Number(query.get('limit') ?? 50)) {
      n += 1
      if (!nameOf(n).includes(name)) continue
      const file = settledFile(n)
      if ((query.get('outcome') ?? file.outcome) !== file.outcome) continue
      if (file.sha256.startsWith(query.get('hash') ?? '')) found.push(file)
    }
    return { timeZone: 'Europe/Berlin', files: found, next: n < total ? `${n}` : null }
  }
}

export function usage(by: string, amountAt: (i: number) => bigint = someAmount) {
  const many = by === 'hour' ? 48 : by === 'day' ? 30 : 12
  const periods = Array.from({ length: many }, (_, i) => {
    const back = many - 1 - i
    const start =
      by === 'month'
        ? Date.UTC(2026, 10 - back, 1)
        : NOON_MS - back * (by === 'hour' ? HOUR_MS : DAY_MS)
    const local = new Date(start + HOUR_MS).toISOString()
    const period =
      by === 'hour' ? `${local.slice(0, 13)}:00+01:00` : local.slice(0, by === 'day' ? 10 : 7)
    return { period, start: iso(start), end: iso(start), consumer: null, amount: `${amountAt(i)}` }
  })
  return {
    ...{ by, asked: by, timeZone: 'Europe/Berlin', from: periods[0]!.start, to: iso(NOON_MS) },
    ...{ asOf: iso(NOON_MS), rolledUpAt: iso(NOON_MS - 60_000), filesNotRolledUp: 2 },
    ...{ hoursFrom: null, daysFrom: null, monthsFrom: null, rezoning: false, periods },
  }
}

function someAmount(i: number): bigint {
  const wave = Math.round(1_000 * (1.25 + Math.sin((i - 8) / 3.82) + 0.18 * Math.sin(i * 2.3)))
  return BigInt(wave) * 91_827_364_511n
}

function postings(many: number) {
  return Array.from({ length: many }, (_, i) => ({
    ...{
      kind: 'posting',
      time: iso(NOON_MS - (many - i) * HOUR_MS),
      amount: `${1_000_003 * (i + 1)}`,
    },
    ...{
      runningTotal: `${BigInt(U64_MAX) - BigInt(many - 1 - i) * 7n}`,
      name: settledFile(i + 1).name,
    },
    ...{ sha256: sha(i + 1), batch: sha(`batch ${i}`).slice(0, 32), beingCounted: i === many - 1 },
    ...(i === 2 ? { amount: '-1000003', order: 'undo', reason: 'wrong month' } : {}),
  }))
}

export const consumer = {
  opening: { kind: 'opening', id: U64_MAX, amount: '9007199254740993' },
  totalNow: U64_MAX,
  postings: postings(24),
  next: 'ab.12.1',
}

export function trail(name = 'usage-2026-11-000001.txt') {
  const at = (ms: number): string => iso(NOON_MS - 60_000 + ms)
  return {
    ...{ kind: 'content', name, sha256: sha(1), counted: true },
    outcome: 'counted in the totals, and archived',
    path: `archive/2026/11/26/${name}`,
    steps: [
      { step: 'published', time: at(0), note: 'by publication 7331f7e06b04caa1e921e019c7377497' },
      { step: 'announced', time: at(4), tookMs: 4 },
      { step: 'claimed', time: at(9), tookMs: 5, note: 'as 100001 by parser 8c6e38be' },
      { step: 'read', time: at(611), tookMs: 602, note: '20.1 MiB, 2 166 155 lines' },
      { step: 'recorded', time: at(702), tookMs: 91 },
      {
        step: 'counted',
        time: at(950),
        tookMs: 248,
        note: 'in batch 71b2b482594c0a4d, with 3 others',
      },
      { step: 'settled', time: at(962), tookMs: 12, note: 'to archive/' },
    ],
    queued: [],
    settled: [settledFile(1, name)],
    sightings: [
      {
        ...{ parser: 'ab', workSequence: '7', name: `again-${name}`, time: at(9_000) },
        ...{ outcome: 'duplicate', reason: 'its content is counted' },
      },
    ],
    sightingsCount: 1,
    ledger: {
      ...{ size: 20_971_527, lines: 2_166_156, amount: WIDE_SUM, consumers: '250000' },
      ...{
        rejectedLines: 3,
        state: 'applied',
        supersedes: { sha256: sha('old'), name: 'old.txt' },
      },
    },
  }
}

export const quarantine = {
  files: [
    {
      ...{ entry: 'day.txt.0c163e8487ef', name: 'day.txt', size: 8, sha256: sha('bad') },
      reason: 'AMOUNT_NOT_DIGITS: line 2, byte 3 of it (it starts at offset 4): "1 x"',
      ...{ time: iso(NOON_MS - 9_000_000), whatNow: 'Mend the line, and requeue it.' },
      badLine: { line: 2, offset: 4, byte: 3, text: '1 x' },
    },
    {
      ...{
        entry: 'huge.txt.6bac8bc0b23e',
        name: 'huge.txt',
        size: 734_003_200,
        sha256: sha('huge'),
      },
      reason: 'CONTROL_TOTALS_DIFFER: 2166154 lines, and 2166155 were announced',
      time: iso(NOON_MS - 80_000_000),
    },
    { entry: 'put-here-by-hand', name: 'put-here-by-hand', size: 12, reason: null },
  ],
  next: null,
}

export const verify = {
  at: iso(NOON_MS - 7_200_000),
  result: {
    ...{ kind: 'end', full: true, addsUp: true, totals: WIDE_SUM, opening: '0', counted: WIDE_SUM },
    ...{ files: 100_000, batchesOpen: 0, findings: 0, differences: 0 },
    ...{ unknownBecause: null, rejectedLines: 17 },
  },
  findings: [],
  differences: [],
}

export const METRICS = `# HELP countersink_info The version that exports this.
# TYPE countersink_info gauge
countersink_info{version="0.1.0"} 1
countersink_lease_held 1
countersink_oldest_waiting_seconds 12.5
countersink_disk_free_bytes 412316860416
countersink_disk_reserve_bytes 10737418240
countersink_disk_free_inodes 9437184
`

export const ANSWERS: Answers = {
  ...{ status, quarantine, verify, metrics: METRICS, files: manyFiles(100_000) },
  usage: (query: URLSearchParams) => usage(query.get('by') ?? 'day'),
  [`files/${sha(1)}`]: trail(),
  [`consumers/${U64_MAX}`]: consumer,
  [`consumers/${U64_MAX}/usage`]: (query: URLSearchParams) => usage(query.get('by') ?? 'day'),
}

/** A service that was just set up. */
export const NOTHING_YET: Answers = {
  status: {
    ...{ ...status, queue: { files: 0, bytes: 0 }, reading: null, lastProgressAt: null },
    held: { files: 0, first: [] },
    sinceStart: { ...counts, applied: 0, quarantined: 0, bytes: 0, lines: 0 },
    ever: { ...counts, applied: 0, quarantined: 0, bytes: 0, lines: 0 },
  },
  files: { timeZone: 'UTC', files: [], next: null },
  quarantine: { files: [], next: null },
  usage: (query: URLSearchParams) => usage(query.get('by') ?? 'day', () => 0n),
  'consumers/7': {
    ...{ opening: { kind: 'opening', id: '7', amount: '0' }, totalNow: null, postings: [] },
    next: null,
    total: {
      kind: 'total',
      postings: 0,
      expected: '0',
      total: null,
      difference: '0',
      addsUp: true,
    },
  },
  'consumers/7/usage': (query: URLSearchParams) => usage(query.get('by') ?? 'day', () => 0n),
  metrics: METRICS,
}

const AWAY = 'MariaDB is away: connect ECONNREFUSED 10.0.0.7:3306'
export const away = new Refusal(503, 'DATABASE_UNAVAILABLE', AWAY, 'It is waited for.')

/** What needs MariaDB is refused, everything else goes on. */
export const DATABASE_AWAY: Answers = {
  ...ANSWERS,
  status: {
    ...status,
    database: { ...status.database, state: 'unavailable', reason: AWAY },
    parser: { ...status.parser, reason: AWAY },
  },
  ...{ usage: away, [`consumers/${U64_MAX}`]: away, [`consumers/${U64_MAX}/usage`]: away },
}

/** 255 bytes, turned round, with commands for a terminal, with markup. */
export const HOSTILE_NAMES = [
  'invoice-\u202etxt.exe',
  'bell\u0007 and \u001b[31mred\u001b[0m.txt',
  '<script>document.title="owned"</script>.txt',
  '<img src=x onerror=document.title="owned">.txt',
  `${'w'.repeat(251)}.txt`,
  'two  spaces and a\nsecond line.txt',
  '\u05d0\u05d1\u05d2-\u0627\u0644\u0627\u0633\u062a\u0647\u0644\u0627\u0643.txt',
  '\ufeff\u200bzero width.txt',
] as const

export const HOSTILE: Answers = {
  ...ANSWERS,
  status: {
    ...status,
    reading: { ...status.reading, name: HOSTILE_NAMES[0] },
    leftInInbox: {
      files: 3,
      reasons: [{ why: 'it is not a regular file', files: 3, names: HOSTILE_NAMES.slice(0, 3) }],
    },
    held: {
      ...{ files: 1, first: [{ name: HOSTILE_NAMES[4], sha256: sha(4), since: iso(NOON_MS) }] },
    },
  },
  files: { files: HOSTILE_NAMES.map((name, n) => settledFile(n + 1, name)), next: null },
  [`files/${sha(1)}`]: trail(HOSTILE_NAMES[2]),
  quarantine: {
    ...{ next: null },
    files: HOSTILE_NAMES.map((name, n) => ({
      ...{ entry: name, name, size: 8, reason: `NAME: ${name}`, sha256: sha(n + 1) },
      badLine: { line: 1, offset: 0, text: '<b>1</b> \u202e2' },
    })),
  },
}
