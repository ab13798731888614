import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { withServiceDatabase } from '../../scripts/mariadb/database-at-rest.ts'
import { Deaths } from '../../scripts/state/deaths.ts'
import { StateLock } from '../../scripts/state/state-lock.ts'
import { LogFile, type LogFileOptions } from '../../scripts/supervising/log-file.ts'
import { readConfig } from '../../shared/config.ts'
import { statePaths } from '../../shared/paths.ts'
import { eventually, failureOf, runModule, tempDir } from '../shared/helpers.ts'

t.test('one at a time; a release makes room', async t => {
  const dir = tempDir(t)
  const paths = [`${dir}/run/supervisor.lock`, `${dir}/run/supervisor.json`] as const
  const first = await StateLock.take(...paths)
  const refused = { code: 'STATE_DIRECTORY_IN_USE', exitCode: 78 }
  t.match(await failureOf(StateLock.take(...paths)), refused, 'no status file yet')
  writeFileSync(paths[1], '{"pid": 4711}')
  const error = await failureOf(StateLock.take(...paths))
  t.match(error, refused)
  t.match(error.message, /\b4711\b/)
  for (const text of ['{"pid": 47', '', 'null', '[]']) {
    writeFileSync(paths[1], text)
    t.match(await failureOf(StateLock.take(...paths)), refused, `status file ${text}`)
  }
  await first.release()
  const second = await StateLock.take(...paths)
  await second.release()
  symlinkSync(`${dir}/missing/lock`, `${dir}/run/dangling`)
  t.match(await failureOf(StateLock.take(`${dir}/run/dangling`, paths[1])), {
    code: 'STATE_DIRECTORY_UNFIT',
  })
})

t.test('a killed holder frees it', async t => {
  const dir = tempDir(t)
  const paths = [`${dir}/run/lock`, `${dir}/run/status`] as const
  const child = runModule(
    t,
    `import { StateLock } from '@/scripts/state/state-lock.ts'
     const held = await StateLock.take('${paths[0]}', '${paths[1]}')
     console.log('held', held.isInPlace())
     setInterval(() => {}, 1000)`,
  )
  await child.says('held')
  t.match(await failureOf(StateLock.take(...paths)), { code: 'STATE_DIRECTORY_IN_USE' })
  child.process.kill('SIGKILL')
  await child.ended
  const lock = await eventually('it is free', () => StateLock.take(...paths).catch(() => undefined))
  await lock.release()
})

const QUIETLY: LogFileOptions = {
  bytesMax: 8 * 2 ** 20,
  onTrouble: () => {},
  remark: text => `-- ${text}`,
}

t.test('a log keeps itself within two files', async t => {
  const path = `${tempDir(t)}/log`
  const log = new LogFile(path, QUIETLY)
  const line = 'x'.repeat(1_000_000)
  for (let i = 0; i < 20; i += 1) log.write(`${i} ${line}`)
  t.ok(statSync(path).size <= 8 * 2 ** 20)
  t.ok(statSync(`${path}.old`).size <= 8 * 2 ** 20)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const kept = `${readFileSync(`${path}.old`, 'utf8')}${readFileSync(path, 'utf8')}`
  t.match(kept, /^8 x/, 'the oldest were dropped')
  t.equal(kept.match(/\n/g)?.length, 12, 'no line is lost in between')
  log.close()
  const again = new LogFile(path, QUIETLY)
  again.write('more')
  again.close()
  t.match(readFileSync(path, 'utf8').slice(-10), /xxx\nmore\n$/, 'a later start goes on')
})

t.test(
  'a log that cannot be written is said once, waited for, and tells what it misses',
  async t => {
    const dir = tempDir(t)
    const path = `${dir}/away/log/parser.log`
    const said: string[] = []
    const log = new LogFile(path, { ...QUIETLY, onTrouble: text => said.push(text) })
    log.write('lost')
    log.write('lost as well')
    t.match(said, [/parser.log cannot be written, .*ENOENT/])
    mkdirSync(`${dir}/away`)
    log.reopen()
    t.ok(existsSync(path), 'the directory of logs is made with the log')
    unlinkSync(path)
    symlinkSync(`${dir}/elsewhere`, path)
    log.reopen()
    log.write('lost to a link')
    t.notOk(existsSync(`${dir}/elsewhere`), 'no link is followed')
    unlinkSync(path)
    log.reopen()
    log.write('kept')
    t.equal(readFileSync(path, 'utf8'), '-- 3 lines are missing here\nkept\n')
    t.match(said, [/cannot be written/, /is written again/])

    renameSync(path, `${path}.moved`)
    await eventually('a new one is there under the name', () => {
      log.write('more')
      return existsSync(path)
    })
    log.close()
  },
)

t.test('deaths count as long as they are recent, and nothing was made between', async t => {
  const deaths = new Deaths()
  const pauses = Array.from({ length: 11 }, () => deaths.note())
  t.same(pauses, [0, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, undefined])
  deaths.forget()
  t.equal(deaths.note(), 0)
})

t.test('the lock of a file that was removed is taken again', async t => {
  const dir = tempDir(t)
  const paths = [`${dir}/lock`, `${dir}/status`] as const
  const lock = await StateLock.take(...paths)
  t.ok(lock.isInPlace())
  unlinkSync(paths[0])
  t.notOk(lock.isInPlace())
  const thief = await StateLock.take(...paths)
  t.match(await failureOf(lock.takeAgain()), { code: 'STATE_DIRECTORY_IN_USE' })
  thief.release()
  await Promise.all([lock.takeAgain(), lock.takeAgain()])
  t.ok(lock.isInPlace())
  lock.release()
})

t.test(
  'a private MariaDB that its service has to start is not told to be stopped first',
  async t => {
    const paths = statePaths(tempDir(t))
    mkdirSync(`${paths.mariadb}/mysql`, { recursive: true })
    const lock = await StateLock.take(paths.supervisorLock, paths.supervisorStatus)
    t.teardown(() => lock.release())
    const service = { config: readConfig({}), remembered: undefined }
    t.match(await failureOf(withServiceDatabase(paths, service, async () => {})), {
      code: 'STOPPED',
      message: /^the private MariaDB does not answer \(.*\), and a countersink is at work in /,
      advice: /^Ask again/,
    })
  },
)
