import t from 'tap'
import { readConfig } from '../../shared/config.ts'
import { LiveConfig } from '../../shared/config-reload.ts'

t.test('what can be is taken over, the rest is told of', async t => {
  let env: Record<string, string> = { COUNTERSINK_QUIET_MS: '500' }
  const live = new LiveConfig(() => readConfig(env))
  const { config } = live
  t.same(config, readConfig(env))
  t.same(live.reload(), { text: 'configuration read again: nothing has changed', isRefused: false })
  env = {
    ...{ COUNTERSINK_QUIET_MS: '600', COUNTERSINK_SCAN_INTERVAL_MS: '70' },
    ...{ COUNTERSINK_READERS: '3', COUNTERSINK_DATABASE_URL: 'mariadb://u:S3CRET@h/d' },
  }
  const { text } = live.reload()
  t.match(
    text,
    'read again: scanIntervalMs 1000 -> 70, quietMs 500 -> 600; a restart is needed for ',
  )
  t.match(text, /needed for databaseUrl, readers$/)
  t.match(config, { quietMs: 600, scanIntervalMs: 70, readers: 0, databaseUrl: '' })
  t.match(live.reload().text, /again: a restart is needed for databaseUrl, readers$/, 'still')
})

t.test(
  'another address is for new connections; whether the database is private is not',
  async t => {
    let url = 'mariadb://u:old@h/d'
    const live = new LiveConfig(() => readConfig({ COUNTERSINK_DATABASE_URL: url }))
    url = 'mariadb://u:new@h/d'
    const { text } = live.reload()
    t.equal(text, 'configuration read again: databaseUrl is used by new connections')
    t.match(live.reload().text, /nothing has changed$/)
    url = ''
    t.match(live.reload().text, /a restart is needed for databaseUrl$/)
  },
)

t.test('with anything wrong in it all stays as it was', async t => {
  let env: Record<string, string> = { COUNTERSINK_QUIET_MS: '500' }
  const live = new LiveConfig(() => readConfig(env))
  env = { COUNTERSINK_QUIET_MS: '600', COUNTERSINK_READERS: 'x' }
  t.match(live.reload(), {
    isRefused: true,
    text: /^the configuration cannot be used, and stays as it was: CONFIG_INVALID: .*READERS/,
  })
  t.equal(live.config.quietMs, 500)
  const broken = new Error('ours')
  const failing = new LiveConfig(() => {
    if (env.COUNTERSINK_READERS === 'x') env = {}
    else throw broken
    return readConfig(env)
  })
  t.throws(() => failing.reload(), broken, 'a fault of ours is none of the file')
})
