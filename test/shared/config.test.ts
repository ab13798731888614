import t from 'tap'
import { readConfig } from '../../shared/config.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { failureOf } from './helpers.ts'

type Key = keyof typeof SETTINGS

/** For each setting: what is taken, and as what; what is refused. */
const CASES: Readonly<Record<Key, { good: readonly [string, unknown][]; bad: readonly string[] }>> =
  {
    databaseUrl: {
      good: [
        ['', ''],
        ['mariadb://u:p@h:3306/d', 'mariadb://u:p@h:3306/d'],
        ['mysql://u@h/d', 'mysql://u@h/d'],
        ['mariadb://u:p%25q@h/d?socketPath=/s', 'mariadb://u:p%25q@h/d?socketPath=/s'],
      ],
      bad: ['x', 'http://h/d', 'mariadb://h', 'mariadb://h/', 'mariadb:', 'mariadb://u:50%zz@h/d'],
    },
    totalsTable: names(),
    totalsIdColumn: names(),
    totalsAmountColumn: names(),
    tablePrefix: names(),
    scanIntervalMs: counts(50, 3_600_000),
    quietMs: counts(100, 86_400_000),
    cutHoldMs: counts(100, 86_400_000),
    unterminated: {
      good: [
        ['quarantine', 'quarantine'],
        ['accept', 'accept'],
      ],
      bad: ['', 'Accept', 'accept ', 'toString'],
    },
    sameName: {
      good: [
        ['warn', 'warn'],
        ['accept', 'accept'],
        ['hold', 'hold'],
      ],
      bad: ['', 'Warn', 'refuse', 'toString'],
    },
    rejectLines: {
      good: [
        ['0', { kind: 'lines', count: 0 }],
        ['10', { kind: 'lines', count: 10 }],
        ['1%', { kind: 'share', millionths: 10_000 }],
        ['0.25%', { kind: 'share', millionths: 2_500 }],
        ['100%', { kind: 'share', millionths: 1_000_000 }],
      ],
      bad: ['', '-1', '1.5', '100.1%', '%', '1e3', '10 ', '0.00001%', '1 %'],
    },
    usage: {
      good: [
        ['auto', 'auto'],
        ['on', 'on'],
        ['off', 'off'],
      ],
      bad: ['', 'On', 'yes', 'toString'],
    },
    timeZone: {
      good: [
        ['', ''],
        ['UTC', 'UTC'],
        ['Europe/Berlin', 'Europe/Berlin'],
        ['europe/berlin', 'Europe/Berlin'],
        ['America/Argentina/Buenos_Aires', 'America/Argentina/Buenos_Aires'],
      ],
      bad: ['Berlin', '+01:00', 'Europe/Berlin ', 'local', 'Europe/Nowhere'],
    },
    rollUpMs: counts(100, 3_600_000),
    keepHours: days(),
    keepDays: days(),
    keepMonths: days(),
    queueFilesMax: counts(1, 10_000_000),
    pairsMax: counts(1, 50_000_000),
    readers: counts(0, 16),
    sumThreads: counts(0, 16),
    memoryPairsMax: counts(0, 1_000_000),
    checkpointBytes: sizes(1_024, 2 ** 40),
    serve: {
      good: [
        ['', ''],
        ['127.0.0.1:8321', '127.0.0.1:8321'],
        ['[::1]:80', '[::1]:80'],
        ['localhost:0', 'localhost:0'],
        ['unix:/run/stats.sock', 'unix:/run/stats.sock'],
      ],
      bad: [
        ...['8321', ':8321', '127.0.0.1', '127.0.0.1:65536', '1.2.3:80', '[::1:80', 'a b:80'],
        ...['unix:', 'unix:stats.sock', 'unix:/', `unix:/${'s'.repeat(110)}`, 'http://h:1'],
      ],
    },
    serveTokenFile: paths(),
    metricsFile: paths(),
    alertCommand: {
      good: [
        ['', ''],
        ['mail -s x root', 'mail -s x root'],
      ],
      bad: ['a\0b', 'x'.repeat(4_097)],
    },
    batchFilesMax: counts(1, 10_000),
    chunkPairsMax: counts(1, 1_000_000),
    takeoverMs: counts(100, 86_400_000),
    archiveBytesMax: sizes(0, 2 ** 50),
    fileSize: {
      good: [
        ['1KiB-2KiB', { minBytes: 1_024, maxBytes: 2_048 }],
        ['10MB', { minBytes: 10_000_000, maxBytes: 10_000_000 }],
        ['1.5MiB - 64GiB', { minBytes: 1_572_864, maxBytes: 2 ** 36 }],
      ],
      bad: ['', '-', '1023', '2MiB-1MiB', '1MiB-', '1MiB-65GiB', '1MiB-2MiB-3MiB', '1MiB-x', '-5'],
    },
    consumers: counts(1, 2 ** 40),
    days: counts(0, 3_650),
    distribution: {
      good: [
        ['uniform', 'uniform'],
        ['zipf', 'zipf'],
      ],
      bad: ['', 'normal'],
    },
    rateBytes: sizes(0, 2 ** 40),
    seed: {
      good: [
        ['random', 'random'],
        ['0', 0n],
        ['18446744073709551615', 2n ** 64n - 1n],
      ],
      bad: ['', '-1', '18446744073709551616', 'Random', '1.5', '0x10'],
    },
    files: counts(0, 1_000_000_000),
    backlogFilesMax: counts(1, 1_000_000),
    backlogBytesMax: sizes(1, 2 ** 50),
    reserveBytes: sizes(0, 2 ** 50),
    mariadbPoolBytes: sizes(0, 2 ** 40),
    reserveInodes: counts(0, 1_000_000_000),
    logFormat: choices('text', 'json'),
    logLevel: choices('debug', 'info', 'notice', 'warn', 'error'),
    logBytesMax: sizes(0, 2 ** 40),
    output: choices('auto', 'progress', 'lines', 'journal'),
  }

function paths() {
  return {
    good: [
      ['', ''],
      ['/run/x', '/run/x'],
    ] as [string, unknown][],
    bad: ['x', './x', '/x/', `/${'x'.repeat(4_096)}`],
  }
}

function names() {
  const longest = `_${'a'.repeat(47)}`
  return {
    good: [
      ['Usage_2', 'Usage_2'],
      [longest, longest],
    ] as [string, string][],
    bad: ['', '2x', 'a-b', 'a`b', 'a.b', 'a b', 'ä', `${longest}a`, 'a\n', "a'; DROP TABLE x"],
  }
}

function days() {
  const good: [string, unknown][] = [
    ['1d', 1],
    ['400d', 400],
    ['36500d', 36_500],
    ['forever', 'forever'],
  ]
  return {
    good,
    bad: ['', '0d', '14', '14 d', '36501d', '1.5d', 'never'],
  }
}

function counts(min: number, max: number) {
  return {
    good: [
      [String(min), min],
      [String(max), max],
    ] as [string, number][],
    bad: ['', 'x', '-1', '1.5', '1e3', ' 1', '0x10', String(max + 1), '9'.repeat(20)].concat(
      min > 0 ? String(min - 1) : [],
    ),
  }
}

function choices(...words: readonly string[]) {
  return {
    good: words.map((word): [string, string] => [word, word]),
    bad: ['', 'x', words[0]!.toUpperCase(), `${words[0]} `],
  }
}

function sizes(min: number, max: number) {
  return {
    good: [
      [String(min), min],
      [String(max), max],
      ['64MiB', 64 * 2 ** 20],
      ['2.5 kb', 2_500],
    ] as [string, number][],
    bad: ['', 'x', '-1', '1XB', 'MiB', '1 2', String(max + 1)].concat(
      min > 0 ? String(min - 1) : [],
    ),
  }
}

t.test('every default is allowed', async t => {
  const config = readConfig({})
  t.ok(Object.isFrozen(config))
  for (const [key, setting] of Object.entries(SETTINGS)) {
    t.same(config[key as Key], setting.parse(setting.default), key)
    t.not(config[key as Key], undefined)
    t.match(setting.variable, /^COUNTERSINK_[A-Z_]+$/)
    t.ok(setting.meaning.length > 0 && setting.allowed.length > 0)
  }
  const variables = Object.values(SETTINGS).map(setting => setting.variable)
  t.equal(new Set(variables).size, variables.length, 'no variable is used twice')
})

t.test('settings that contradict each other are refused, naming both', async t => {
  for (const [smaller, larger, most] of [
    ['COUNTERSINK_QUIET_MS', 'COUNTERSINK_CUT_HOLD_MS', 20_000],
    ['COUNTERSINK_MEMORY_PAIRS_MAX', 'COUNTERSINK_PAIRS_MAX', 1_000],
  ] as const) {
    const env = { [larger]: String(most), [smaller]: String(most + 1) }
    const error = await failureOf(() => readConfig(env))
    t.match(error, { code: 'CONFIG_INVALID', exitCode: 78 })
    t.match(
      error.message,
      new RegExp(`^${larger} \\(${most}\\) must .*${smaller} \\(${most + 1}\\)`),
    )
    readConfig({ ...env, [smaller]: String(most) })
    readConfig({ [larger]: '100' })
    readConfig({ [smaller]: '1000000' })
  }
})

for (const key of Object.keys(CASES) as Key[]) {
  t.test(key, async t => {
    const { variable } = SETTINGS[key]
    for (const [text, value] of CASES[key].good) {
      t.same(readConfig({ [variable]: text })[key], value, JSON.stringify(text))
    }
    for (const text of CASES[key].bad) {
      const error = await failureOf(() => readConfig({ [variable]: text }))
      t.match(error, { code: 'CONFIG_INVALID', exitCode: 78 }, JSON.stringify(text))
      t.ok(error.message.includes(variable), 'it names the variable')
      const setting = SETTINGS[key] as { refused?: (text: string) => string }
      const shown = setting.refused?.(text) ?? JSON.stringify(text)
      t.ok(error.message.includes(shown), 'and the value')
    }
  })
}

t.test('other variables do not matter, and one wrong of many is found', async t => {
  t.same(readConfig({ COUNTERSINK: 'x', PATH: '/', COUNTERSINK_FILES: undefined }), readConfig({}))
  const error = await failureOf(() =>
    readConfig({ COUNTERSINK_FILES: '5', COUNTERSINK_QUIET_MS: '1' }),
  )
  t.match(error.message, /^COUNTERSINK_QUIET_MS /)
})

t.test('a variable that nobody knows is refused with the nearest one', async t => {
  t.match(await failureOf(() => readConfig({ COUNTERSINK_UNTERMINATD: 'accept' })), {
    code: 'CONFIG_INVALID',
    message: 'there is no setting COUNTERSINK_UNTERMINATD',
    advice: /^Is COUNTERSINK_UNTERMINATED what is meant\?/,
  })
  t.match(await failureOf(() => readConfig({ COUNTERSINK_QWERTZUIOP: '' })), {
    advice: 'Unset it.',
  })
  readConfig({ COUNTERSINK_RUN_ID: 'x', COUNTERSINK_CRASH_AT: 'P1' })
})

t.test('names that lead to one are refused, in whatever case', async t => {
  for (const env of [
    { COUNTERSINK_TOTALS_TABLE: 'countersink_File' },
    { COUNTERSINK_TABLE_PREFIX: 'X_', COUNTERSINK_TOTALS_TABLE: 'x_meta' },
    { COUNTERSINK_TOTALS_ID: 'order', COUNTERSINK_TOTALS_AMOUNT: 'Order' },
  ]) {
    const error = await failureOf(() => readConfig(env))
    t.match(error, { code: 'CONFIG_INVALID', message: /both lead to the name/ })
  }
})

t.test('a refused database is shown without its password', async t => {
  const error = await failureOf(() => {
    return readConfig({ COUNTERSINK_DATABASE_URL: 'mariadb://bob:S3CRET%@db/x' })
  })
  t.match(error.message, /got mariadb:\/\/\*\*\*@db\/x: a % in it .*percent-encoded/)
  t.notMatch(error.message, /S3CRET/)
})

t.test('where others than this machine can ask, a password is demanded', async t => {
  for (const serve of ['0.0.0.0:8321', '[::]:8321', '192.0.2.1:80', 'stats.example:8321']) {
    const error = await failureOf(() => readConfig({ COUNTERSINK_SERVE: serve }))
    t.match(error, { code: 'CONFIG_INVALID', message: /COUNTERSINK_SERVE_TOKEN_FILE/ }, serve)
    const COUNTERSINK_SERVE_TOKEN_FILE = '/run/token'
    t.equal(readConfig({ COUNTERSINK_SERVE: serve, COUNTERSINK_SERVE_TOKEN_FILE }).serve, serve)
  }
  for (const serve of ['127.0.0.2:8321', '[::1]:8321', 'localhost:80', 'unix:/run/x']) {
    t.equal(readConfig({ COUNTERSINK_SERVE: serve }).serve, serve)
  }
})
