import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { LogFile } from '../../scripts/log-file.ts'
import { StateLock } from '../../scripts/state-lock.ts'
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
    `import { StateLock } from '@/scripts/state-lock.ts'
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

t.test('a log keeps itself within two files', async t => {
  const path = `${tempDir(t)}/log`
  const log = new LogFile(path)
  const line = 'x'.repeat(1_000_000)
  for (let i = 0; i < 20; i += 1) log.write(`${i} ${line}`)
  t.ok(statSync(path).size <= 8 * 2 ** 20)
  t.ok(statSync(`${path}.1`).size <= 8 * 2 ** 20)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const kept = `${readFileSync(`${path}.1`, 'utf8')}${readFileSync(path, 'utf8')}`
  t.match(kept, /^8 x/, 'the oldest were dropped')
  t.equal(kept.match(/\n/g)?.length, 12, 'no line is lost in between')
  log.close()
  const again = new LogFile(path)
  again.write('more')
  again.close()
  t.match(readFileSync(path, 'utf8').slice(-10), /xxx\nmore\n$/, 'a later start goes on')
})
