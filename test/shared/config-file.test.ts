import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { configOf, resolveConfig } from '../../shared/config.ts'
import { FILE_KEYS } from '../../shared/config-layers.ts'
import { defaultDirectory, logsDirectory } from '../../shared/config-places.ts'
import { configSchema } from '../../shared/config-schema.ts'
import { SETTING_KEYS, SETTINGS } from '../../shared/settings.ts'
import { failureOf, tempDir } from './helpers.ts'

/** A state directory with this configuration file. */
function withFile(t: Test, content: unknown, mode = 0o600): { dir: string; path: string } {
  const dir = tempDir(t)
  const path = join(dir, 'countersink.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content), { mode })
  chmodSync(path, mode)
  return { dir, path }
}

function messages(dir: string, env = {}): string[] {
  return resolveConfig(dir, env).problems.map(({ message, advice }) => `${message}. ${advice}`)
}

t.test('the environment goes before the file, and that before the defaults', async t => {
  const content = { $schema: 'x', quietMs: 200, reserve: '1GiB', rate: 5, seed: '7', files: 3 }
  const { dir, path } = withFile(t, content, 0o644)
  const env = { COUNTERSINK_QUIET_MS: '300', COUNTERSINK_FILES: '4' }
  const remembered = { COUNTERSINK_FILES: '9', COUNTERSINK_CONSUMERS: '8', COUNTERSINK_RATE: '1' }
  t.match(configOf(dir, env, remembered), {
    ...{ quietMs: 300, files: 4, rateBytes: 5, reserveBytes: 2 ** 30, seed: 7n },
    ...{ consumers: 8, cutHoldMs: 30_000 },
  })
  const { given } = resolveConfig(dir, env)
  t.match(given.get('quietMs'), { source: 'environment', name: 'COUNTERSINK_QUIET_MS' })
  t.match(given.get('reserveBytes'), { source: 'file', name: `reserve in ${path}` })
  t.match(given.get('readers'), { source: 'default' })
  const other = withFile(t, { files: 5 }).path
  t.match(configOf(dir, { COUNTERSINK_CONFIG: other }), { files: 5, quietMs: 10_000 })
})

t.test('a name that is given twice, and what is nearest to a value', async t => {
  const dir = tempDir(t)
  const path = join(dir, 'countersink.json')
  const say = (text: string, env = {}): string => {
    writeFileSync(path, text)
    return messages(dir, env).join('\n')
  }
  t.match(
    say('{"quietMs": 500, "alertCommand": "\\"quietMs\\": 1", "quiet\\u004ds": 600}'),
    [`quietMs stands in ${path} more than once. Leave one of them.`].join(),
  )
  t.equal(say('{"alertCommand": "\\"quietMs\\": 1", "quietMs": 600}'), '')
  for (const [key, value, near] of [
    ['quietMs', 5, '100'],
    ['readers', 17, '16'],
    ['checkpoint', '5TiB', '1.0TiB'],
    ['checkpoint', 1, '1.0KiB'],
    ['logLevel', 'warning', 'warn'],
    ['logFormat', 'JSON', 'json'],
  ]) {
    const said = say(JSON.stringify({ [key!]: value }))
    t.ok(said.endsWith(` The nearest right value is ${near}.`), said)
  }
  t.notMatch(say('{"logLevel": "all"}'), 'nearest')
})

t.test('only a file that was named must be there', async t => {
  const dir = tempDir(t)
  t.same(configOf(dir, {}), configOf(join(dir, 'nowhere'), {}))
  const named = join(dir, 'x.json')
  t.match(await failureOf(() => configOf(dir, { COUNTERSINK_CONFIG: named })), {
    code: 'CONFIG_INVALID',
    message: `${named} (named by --config or COUNTERSINK_CONFIG) cannot be read: ENOENT`,
  })
  mkdirSync(join(dir, 'countersink.json'))
  t.match(messages(dir), [/countersink.json .* cannot be read: it is not a regular file/])
})

t.test('each wrong thing in a file is told, with its key, value, range and place', async t => {
  const content = {
    ...{ quietms: 5, totalsIdColumn: 'x', COUNTERSINK_FILES: 1, qwertzuiop: 1 },
    ...{ quietMs: 1, cutHoldMs: '500', reserve: '5XB', unterminated: 'maybe', files: null },
    ...{ readers: 1.5, seed: 2 ** 60, totalsTable: ['a'] },
  }
  const { dir, path } = withFile(t, content)
  t.match(messages(dir, { COUNTERSINK_READERS: 'x' }), [
    `there is no setting "quietms", which stands in ${path}. Is quietMs what is meant?`,
    `there is no setting "totalsIdColumn", which stands in ${path}. `,
    `there is no setting "COUNTERSINK_FILES", which stands in ${path}. Is files what is meant?`,
    `there is no setting "qwertzuiop", which stands in ${path}. Remove it.`,
    `cutHoldMs in ${path} must be a whole number from 100 to 86400000; got "500". It means`,
    `files in ${path} must be a whole number from 0 to 1000000000; got null`,
    `readers in ${path} must be a whole number from 0 to 16; got 1.5`,
    `seed in ${path} must be a whole number from 0 to 18446744073709551615, or random; got 1152`,
    `totalsTable in ${path} must be a name of letters, digits and _ (at most 48); got a list`,
    `quietMs in ${path} must be a whole number from 100 to 86400000; got 1. It means`,
    `unterminated in ${path} must be quarantine or accept; got "maybe"`,
    'COUNTERSINK_READERS must be a whole number from 0 to 16; got "x"',
    `reserve in ${path} must be a size from 0 B to 1024 TiB, such as 64MiB; got "5XB"`,
  ])
  t.match(await failureOf(() => configOf(dir, {})), {
    advice: /11 more: see "countersink config ch/,
  })
})

t.test('a file that is no JSON object is refused, without a word of what is in it', async t => {
  for (const [text, message] of [
    ['{"quietMs": 1,\n  "databaseUrl": "mariadb://u:SECRET@h/d" x}', /is not JSON/],
    ['{"databaseUrl": mariadb://u:SECRET@h/d}', /is not JSON: there is an unexpected m/],
    ['', /is not JSON/],
    ['[]', /must hold one JSON object/],
    ['null', /must hold one JSON object/],
  ] as const) {
    const found = messages(withFile(t, text).dir)
    t.match(found, [message])
    t.notMatch(found.join(), /SECRET/)
  }
  t.match(configOf(withFile(t, '\ufeff{"files":1}').dir, {}), { files: 1 }, 'a byte order mark')
  t.match(messages(withFile(t, ' '.repeat(2 ** 20 + 1)).dir), [/has 1048577 bytes/])
})

t.test('contradictions and collisions name both places', async t => {
  const { dir, path } = withFile(t, { cutHoldMs: 200, totalsId: 'x' })
  t.match(messages(dir, { COUNTERSINK_QUIET_MS: '300', COUNTERSINK_TOTALS_AMOUNT: 'X' }), [
    `totalsId in ${path} and COUNTERSINK_TOTALS_AMOUNT both lead to the name x`,
    `cutHoldMs in ${path} (200) must be at least COUNTERSINK_QUIET_MS (300)`,
  ])
})

t.test('a password stands in a file that only its owner reads', async t => {
  const url = 'mariadb://u:S3CRET@h/d'
  for (const mode of [0o640, 0o604, 0o644]) {
    const { dir, path } = withFile(t, { databaseUrl: url }, mode)
    t.match(messages(dir), [`${path} holds a password in databaseUrl, and others than its owner`])
    t.match(messages(dir), [`chmod 600 ${path}`])
  }
  t.equal(configOf(withFile(t, { databaseUrl: url }, 0o600).dir, {}).databaseUrl, url)
  configOf(withFile(t, { databaseUrl: 'mariadb://u@h/d' }, 0o644).dir, {})
  const wrong = messages(withFile(t, { databaseUrl: 'mariadb://u:S3CRET%@h/d' }).dir)
  t.match(wrong, [/^databaseUrl in .*; got mariadb:\/\/\*\*\*@h/])
  t.match(messages(withFile(t, { databaseUrl: [url] }).dir), [/got a list/])
})

t.test('the URL in a file of its own', async t => {
  const url = 'mariadb://u:S3CRET@h/d'
  const { dir } = withFile(t, { databaseUrlFile: 'secret' }, 0o644)
  t.match(messages(dir), [`${dir}/secret (databaseUrlFile in ${dir}/countersink.json) cannot be`])
  writeFileSync(`${dir}/secret`, `${url}\n`)
  t.equal(configOf(dir, {}).databaseUrl, url, 'beside the configuration')
  writeFileSync(`${dir}/other`, 'mariadb://u:S3CRET@h/other')
  const env = { COUNTERSINK_DATABASE_URL_FILE: `${dir}/other` }
  t.equal(configOf(dir, env).databaseUrl, 'mariadb://u:S3CRET@h/other')
  t.match(messages(dir, { ...env, COUNTERSINK_DATABASE_URL: url }), [
    /^COUNTERSINK_DATABASE_URL and COUNTERSINK_DATABASE_URL_FILE are both given/,
  ])
  const twice = withFile(t, { databaseUrl: url, databaseUrlFile: `${dir}/secret` })
  t.match(messages(twice.dir), [/^databaseUrl in .* and databaseUrlFile in .* are both given/])
  writeFileSync(`${dir}/other`, 'mariadb://u:S3CRET%@h/other')
  t.match(messages(dir, env), [/^COUNTERSINK_DATABASE_URL_FILE \(.*\/other\) must be mariadb/])
  t.notMatch(messages(dir, env).join(), /S3CRET/)
  writeFileSync(`${dir}/other`, '\n')
  t.match(messages(dir, env), [/cannot be read: it is empty/])
})

t.test('the schema has every setting as it is', async t => {
  const { properties, additionalProperties } = configSchema()
  const byKey: Record<string, Record<string, unknown>> = properties
  t.equal(additionalProperties, false)
  t.same(Object.keys(byKey), ['$schema', ...FILE_KEYS.keys()])
  t.same(new Set([...FILE_KEYS.values()].map(({ key }) => key)), new Set(SETTING_KEYS))
  for (const [name, { key, isPath }] of FILE_KEYS) {
    if (isPath) continue
    const { schema, meaning, default: text, parse } = SETTINGS[key]
    const property = byKey[name]!
    t.match(property, { ...schema, description: meaning })
    t.equal(String(property.default), text, name)
    const limits = schema as { minimum?: number; maximum?: number }
    for (const [limit, beyond] of [
      [limits.minimum, -1],
      [limits.maximum, 1],
    ] as const) {
      if (limit === undefined) continue
      t.not(parse(String(limit)), undefined, `${name} may be ${limit}`)
      t.equal(parse(String(limit + beyond)), undefined, `and not ${limit + beyond}`)
    }
    const { pattern } = property as { pattern?: string }
    if (pattern !== undefined) t.match(text, new RegExp(pattern))
    for (const option of (property.enum ?? []) as string[]) t.equal(parse(option), option)
    const { dir } = withFile(t, { [name]: property.default })
    t.same(configOf(dir, {}), configOf(tempDir(t), {}), 'the default as the schema has it')
  }
})

t.test('where the state and the logs are', async t => {
  t.equal(defaultDirectory({}), 'var')
  t.equal(defaultDirectory({ STATE_DIRECTORY: '' }), 'var')
  const systemd = { STATE_DIRECTORY: '/s/a:/s/b', LOGS_DIRECTORY: '/l/a:/l/b' }
  t.equal(defaultDirectory(systemd), '/s/a')
  t.equal(logsDirectory(systemd, false), '/l/a')
  t.equal(logsDirectory(systemd, true), undefined, '--dir is all of it')
  const ours = { ...systemd, COUNTERSINK_DIR: '/x' }
  t.equal(defaultDirectory(ours), '/x')
  t.equal(logsDirectory(ours, false), undefined)
  t.equal(logsDirectory({}, false), undefined)
})
