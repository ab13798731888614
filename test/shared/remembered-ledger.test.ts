import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readConfig } from '../../shared/config.ts'
import {
  environmentOf,
  isRememberedDatabase,
  nameOfDatabase,
  readRememberedLedger,
  rememberLedger,
} from '../../shared/remembered-ledger.ts'
import { failureOf, tempDir } from './helpers.ts'

const UUID = '0b5dd3c0-0000-4000-8000-0123456789ab'
const configOf = (url: string, env: Record<string, string> = {}) =>
  readConfig({ ...env, COUNTERSINK_DATABASE_URL: url })

t.test('what is written is read again, without what is secret', async t => {
  const path = join(tempDir(t), 'ledger.json')
  t.equal(await readRememberedLedger(path), undefined, 'nothing is there')
  const urls: [url: string, database: string, needsPassword: boolean][] = [
    ['', 'private', false],
    ['mariadb://u@h/d', 'mariadb://u@h/d', false],
    ['mariadb://u:geheim@h:3307/d', 'mariadb://u@h:3307/d', true],
    ['mariadb://u:geh%25eim@h/d?socketPath=/s', 'mariadb://u@h/d?socketPath=/s', true],
    ['mysql://u:geheim@[::1]/d?ssl=verify-ca&ca=/c', 'mysql://u@[::1]/d?ssl=verify-ca&ca=/c', true],
  ]
  for (const [url, database, needsPassword] of urls) {
    const names = { COUNTERSINK_TOTALS_TABLE: 'usage_totals', COUNTERSINK_TABLE_PREFIX: 'p_' }
    const config = configOf(url, names)
    await rememberLedger(path, config, UUID)
    t.notMatch(readFileSync(path, 'utf8'), 'geheim')
    t.equal(statSync(path).mode & 0o777, 0o600)
    const remembered = (await readRememberedLedger(path))!
    t.match(remembered, { database, needsPassword, ledgerUuid: UUID })
    t.equal(nameOfDatabase(config), database)
    t.ok(isRememberedDatabase(remembered, config))
    const again = readConfig(environmentOf(remembered))
    t.same({ ...again, databaseUrl: '' }, { ...config, databaseUrl: '' }, 'the tables too')
    t.equal(nameOfDatabase(again), database)
  }
  await rememberLedger(path, configOf(''), undefined)
  t.match(await readRememberedLedger(path), { database: 'private', ledgerUuid: undefined })
  const { ino } = statSync(path)
  await rememberLedger(path, configOf(''), undefined)
  t.equal(statSync(path).ino, ino, 'what stands there already is not written again')
  t.same(readdirSync(join(path, '..')), ['ledger.json'])
})

t.test('one database, whoever logs in there', async t => {
  const path = join(tempDir(t), 'ledger.json')
  const isSame = async (one: string, two: string, env = {}): Promise<boolean> => {
    await rememberLedger(path, configOf(one), UUID)
    return isRememberedDatabase((await readRememberedLedger(path))!, configOf(two, env))
  }
  t.ok(await isSame('mariadb://a:x@h/d', 'mysql://b:y@H:3306/d'))
  t.ok(await isSame('mariadb://a@h/d?socketPath=/s', 'mariadb://a@other/d?socketPath=%2Fs'))
  t.ok(await isSame('mariadb://a@h/d', 'mariadb://a@h/%64'))
  t.notOk(await isSame('mariadb://a@h/d', 'mariadb://a@h/e'))
  t.notOk(await isSame('mariadb://a@h/d', 'mariadb://a@h:3307/d'))
  t.notOk(await isSame('mariadb://a@h/d', 'mariadb://a@i/d'))
  t.notOk(await isSame('mariadb://a@h/d', 'mariadb://a@h/d?socketPath=/s'))
  t.notOk(await isSame('mariadb://a@h/d', ''))
  t.notOk(await isSame('', 'mariadb://a@h/d'))
  const prefix = { COUNTERSINK_TABLE_PREFIX: 'other_' }
  t.notOk(await isSame('mariadb://a@h/d', 'mariadb://a@h/d', prefix), 'another ledger in it')
})

t.test('what cannot be understood is refused, not taken for nothing', async t => {
  const path = join(tempDir(t), 'ledger.json')
  await rememberLedger(path, configOf(''), UUID)
  const good = JSON.parse(readFileSync(path, 'utf8'))
  const bad = [
    ...['', 'null', '{}', '[]', '"private"', 'x'],
    ...[{ version: 2 }, { database: 'x' }, { database: '' }, { needsPassword: 'no' }].map(change =>
      JSON.stringify({ ...good, ...change }),
    ),
    ...[{ ledgerUuid: 'x' }, { ledgerUuid: undefined }, { tablePrefix: '`' }].map(change =>
      JSON.stringify({ ...good, ...change }),
    ),
  ]
  for (const text of bad) {
    writeFileSync(path, text)
    t.match(
      await failureOf(readRememberedLedger(path)),
      { code: 'STATE_DIRECTORY_UNFIT', exitCode: 78, advice: /Restore it/ },
      text,
    )
  }
})
