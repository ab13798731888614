import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openWorkFile, sameIdentity } from '../../../parser/reading/work-file.ts'
import { failureOf, tempDir } from '../../shared/helpers.ts'

t.test('a work file is opened neither through a link nor blocking', async t => {
  const dir = tempDir(t)
  t.equal(await openWorkFile(join(dir, 'none')), undefined)
  await symlink('/etc/passwd', join(dir, 'link'))
  await mkdir(join(dir, 'directory'))
  for (const name of ['link', 'directory']) {
    t.match(await failureOf(openWorkFile(join(dir, name))), { code: 'FILE_UNFIT' }, name)
  }
  const path = join(dir, 'file')
  await writeFile(path, '1 2\n')
  const file = await openWorkFile(path)
  t.equal(file?.sizeBytes, 4)
  t.match(await failureOf(openWorkFile(join(path, 'below'))), { code: 'FILE_UNFIT' }, 'ENOTDIR')
  const before = await file!.identity()
  t.ok(sameIdentity(before, await file!.identity()))
  await writeFile(path, '3 4\n5 6\n')
  t.notOk(sameIdentity(before, await file!.identity()))
  await file?.handle.close()
})
