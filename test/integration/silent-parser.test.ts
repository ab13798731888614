import { spawnSync } from 'node:child_process'
import { rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { seededFile, sha256Of } from '../helpers/files.ts'
import { startProgram } from '../helpers/processes.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { pidOf, startUp } from '../helpers/up.ts'

// What the commands say of a parser that lives and does not answer, or cannot be found.

const site = await makeSite(t, await startDatabaseServer(t))
const run = (command: string, ...args: string[]) => countersink(t, site, command, ...args)
const file = seededFile('counted.txt', 1, { lines: 50 })
const path = join(site.paths.dir, file.name)
const sha256 = sha256Of(file.content)

const up = await startUp(t, site, '--no-generator')
const pid = await pidOf(up, 'parser')
writeFileSync(path, file.content)
const published = await run('publish', '--wait', path)
t.match(published.stdout, /^applied /, published.stderr)

t.test('a parser that is stopped is said to be so, and what can be known is', async t => {
  // Its supervisor too, which would kill it.
  up.signal('SIGSTOP')
  process.kill(pid, 'SIGSTOP')
  const stopped = new RegExp(`the parser \\(pid ${pid}\\) is stopped by a signal`)
  const [ping, status, counted, unknown, hashes, queued] = await Promise.all([
    run('ping', 'parser'),
    run('status'),
    run('check', sha256),
    run('check', 'ab'.repeat(32)),
    run('hashes'),
    run('publish', path),
  ])
  process.kill(pid, 'SIGCONT')
  up.signal('SIGCONT')
  t.match(ping, { code: 1, stdout: stopped })
  t.match(status, { code: 0, stdout: new RegExp(`^parser +silent.*${stopped.source}`, 'm') })
  t.match(status.stdout, /^supervisor +running.*: stopped by a signal/m)
  t.match(counted, { code: 0, stdout: /counted .* as counted\.txt:/ }, 'MariaDB knows')
  t.match(unknown, { code: 3, stderr: stopped }, 'nothing is denied')
  t.match(hashes, { code: 3, stdout: '', stderr: stopped })
  t.match(queued, { code: 0, stdout: /^queued /, stderr: stopped })
})

t.test('a parser whose socket was removed is found again', async t => {
  await eventually('it answers', async () => (await run('ping', 'parser')).code === 0)
  unlinkSync(site.paths.parserSocket)
  const gone = await run('ping', 'parser')
  if (gone.code !== 0) t.match(gone.stdout, /does not listen at/, 'unless it was faster')
  await eventually('it answers again', async () => (await run('ping', 'parser')).code === 0)
  t.equal(await pidOf(up, 'parser'), pid, 'and is the same')
  t.match(await run('check', sha256), { code: 0, stderr: '' })
})

t.test('a copy of the directory tells nothing of those who run in the original', async t => {
  const copy = `${site.paths.dir}-copy`
  t.teardown(() => rmSync(copy, { recursive: true, force: true }))
  t.equal(spawnSync('cp', ['-a', site.paths.dir, copy]).status, 0)
  const there = (command: string, ...args: string[]) => {
    return startProgram(
      t,
      copy,
      ['scripts/countersink.js', command, '--dir', copy, ...args],
      site.env,
    ).ended
  }
  const [status, ping, queued, hashes] = await Promise.all([
    there('status'),
    there('ping', 'parser'),
    there('publish', '--wait', path),
    there('hashes', '--limit', '1'),
  ])
  t.match(status.stdout, /^supervisor +stopped\n.*\nparser +stopped$/m)
  t.match(ping, { code: 1, stdout: 'parser: not running\n' })
  t.match(queued, { code: 3, stdout: /^queued /, stderr: /the parser is not running/ })
  t.match(hashes, { code: 0, stdout: new RegExp(`^${sha256}`) })
  t.equal(await pidOf(up, 'parser'), pid, 'the original goes on')
})

t.test('a parser that died while its supervisor is stopped is not said to run', async t => {
  up.signal('SIGSTOP')
  process.kill(pid, 'SIGKILL')
  const status = await eventually('it is gone', async () => {
    const { stdout } = await run('status')
    return /^parser +ended/m.test(stdout) ? stdout : undefined
  })
  const ping = await run('ping', 'parser')
  up.signal('SIGCONT')
  t.match(ping, { code: 1, stdout: 'parser: not running (its supervisor starts it again)\n' })
  t.match(status, /^parser +ended, .*: it is not there any more/m)
})
