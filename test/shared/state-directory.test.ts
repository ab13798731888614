import { spawnSync } from 'node:child_process'
import { chownSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { statePaths } from '../../shared/paths.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import { BUILT } from '../helpers/root.ts'
import { failureOf, tempDir } from './helpers.ts'

t.test('places that a state directory cannot be in', async t => {
  const sources = tempDir(t)
  writeFileSync(`${sources}/package.json`, '{}')
  const system = ['/', '/var', '/tmp/', '/usr/local', '/var/../etc']
  for (const dir of ['', ' ', ...system, sources, 'a\nb', 'a\u001b[2J', 'not\ufffdUTF-8']) {
    const error = await failureOf(Promise.resolve().then(() => statePaths(dir)))
    t.match(error, { code: 'USAGE', message: /^the state directory cannot be .+$/ }, `'${dir}'`)
  }
  t.equal(statePaths(`${sources}/var`).dir, `${sources}/var`)
  t.equal(statePaths('/var/lib/countersink').dir, '/var/lib/countersink')
})

t.test('directories of others, and too few descriptors', async t => {
  const dir = tempDir(t)
  await refuseDirectoriesOfOthers(dir)
  // The root directory is nobody's but root's; to root a directory can be given away.
  const others = process.getuid?.() === 0 ? dir : '/'
  if (others === dir) chownSync(dir, 12_345, 12_345)
  t.match(await failureOf(refuseDirectoriesOfOthers(others)), {
    code: 'STATE_DIRECTORY_UNFIT',
    message: /belongs to the user with id /,
  })
  const main = `${BUILT}parser/main.js`
  const limited = spawnSync('sh', ['-c', `ulimit -n 100 && exec "${process.execPath}" "${main}"`], {
    cwd: dir,
    env: { PATH: process.env.PATH },
    encoding: 'utf8',
  })
  t.equal(limited.status, 78)
  t.match(limited.stderr, /LIMIT_TOO_LOW: this process may open 100 files, and needs at least 512/)
})
