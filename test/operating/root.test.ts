import { chmodSync, chownSync, lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { tempDir } from '../shared/helpers.ts'

const SOMEBODY = 65_534
const skip = process.geteuid?.() === 0 ? false : 'only root can become another user'

t.test('what root does in a directory of somebody’s is that user’s', { skip }, async t => {
  const site = await makeSite(t)
  for (const path of [site.paths.inbox, site.paths.dir]) chownSync(path, SOMEBODY, SOMEBODY)
  const dir = tempDir(t)
  chmodSync(dir, 0o711)
  const file = join(dir, 'a.txt')
  writeFileSync(file, '1 2\n', { mode: 0o600 })
  t.match(
    await countersink(t, site, 'publish', file),
    { code: 3, stderr: /a\.txt cannot be published: EACCES/ },
    'what the service may not read does not come in',
  )
  chmodSync(file, 0o644)
  t.match(await countersink(t, site, 'publish', file), { code: 0, stdout: /^queued / })
  const made = readdirSync(site.paths.dir, { recursive: true, encoding: 'utf8' })
  t.ok(made.some(path => path.endsWith('.manifest.json')))
  for (const path of made) t.equal(lstatSync(join(site.paths.dir, path)).uid, SOMEBODY, path)
})

t.test('doctor looks as the owner, and is told what only root may read', { skip }, async t => {
  const site = await makeSite(t)
  const { dir, inbox } = site.paths
  const url = join(dir, 'url')
  writeFileSync(url, 'mariadb://u:S3CRET@127.0.0.1:1/d', { mode: 0o600 })
  for (const path of [inbox, dir]) chownSync(path, SOMEBODY, SOMEBODY)
  const env = { ...site.env, COUNTERSINK_DATABASE_URL_FILE: url }
  const ended = await countersink(t, { ...site, env }, 'doctor')
  t.match(ended, { code: 1, stdout: /^FAIL +database .*cannot be reached/m })
  t.match(ended.stdout, /^ok +user +.* the user with id 65534$/m)
  t.match(ended.stdout, / 1 FAIL$/m, 'that is all')
  t.match(await countersink(t, { ...site, env }, 'status'), { code: 0 })
})
