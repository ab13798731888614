import { readdirSync, statSync } from 'node:fs'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ArchiveLimit } from '../../../parser/settling/archive-limit.ts'
import { eventually, tempDir } from '../../shared/helpers.ts'
import { recordingLog } from '../helpers.ts'

t.test('at the start the oldest are those that were moved in first', async t => {
  const dir = tempDir(t)
  let previous = 0n
  for (const name of ['z', 'm', 'a']) {
    // Until the clock of the filesystem has moved on.
    await eventually('a later time', async () => {
      await writeFile(join(dir, name), 'x'.repeat(10))
      const { ctimeNs } = statSync(join(dir, name), { bigint: true })
      const later = ctimeNs > previous
      if (later) previous = ctimeNs
      return later
    })
  }
  await mkdir(join(dir, 'directory'))
  await symlink('/nowhere', join(dir, 'link'))
  await writeFile(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff])]), 'no UTF-8')
  const limit = await ArchiveLimit.open(dir, 20, recordingLog())
  const odd = ['directory', 'link', '\ufffd']
  t.same(readdirSync(dir).sort(), ['a', 'm', ...odd].sort())
  await limit.added('none', 5)
  t.same(readdirSync(dir).sort(), ['a', ...odd])
  await limit.added('huge', 100)
  t.same(readdirSync(dir).sort(), odd, 'also when files are gone already')
  await ArchiveLimit.open(dir, 0, recordingLog())
})
