import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import {
  makeDirectories,
  renameDurably,
  replaceFile,
  syncDirectories,
  syncDirectory,
} from '../../shared/durable.ts'
import { freeRoom } from '../../shared/room.ts'
import { failureOf, tempDir } from './helpers.ts'

t.test('replaceFile: readers see the old text or the new, never a part', async t => {
  const dir = tempDir(t)
  const path = `${dir}/f`
  const texts = ['a', 'b', 'c'].map(letter => letter.repeat(200_000))
  await replaceFile(path, texts[0]!)
  t.equal((await stat(path)).mode & 0o777, 0o600)
  let done = false
  const reader = (async () => {
    const seen = new Set<string>()
    while (!done) seen.add(await readFile(path, 'utf8'))
    return seen
  })()
  for (let i = 0; i < 12; i += 1) await replaceFile(path, texts[i % 3]!)
  done = true
  for (const seen of await reader) t.ok(texts.includes(seen))
  t.equal(await readFile(path, 'utf8'), texts[11 % 3])
  t.same(await readdir(dir), ['f'], 'no temporary file is left')
})

t.test('replaceFile: what fails leaves the old file and nothing else', async t => {
  const dir = tempDir(t)
  await mkdir(`${dir}/f`)
  await writeFile(`${dir}/f/inside`, '')
  t.match(await failureOf(replaceFile(`${dir}/f`, 'x')), { code: 'IO_FAILED' })
  t.same(await readdir(dir), ['f'])
  const missing = await failureOf(replaceFile(`${dir}/none/f`, 'x'))
  t.match(missing, { code: 'IO_FAILED', cause: { code: 'ENOENT' } })
})

t.test('makeDirectories: with all parents, closed to others, repeatable', async t => {
  const dir = tempDir(t)
  const previous = process.umask(0)
  t.teardown(() => process.umask(previous))
  await makeDirectories(`${dir}/a/b/c`, `${dir}/a/d`)
  for (const path of ['a', 'a/b', 'a/b/c', 'a/d']) {
    t.equal((await stat(`${dir}/${path}`)).mode & 0o777, 0o700, path)
  }
  await chmod(`${dir}/a`, 0o755)
  await makeDirectories(`${dir}/a/b/c`, `${dir}/a`)
  t.equal((await stat(`${dir}/a`)).mode & 0o777, 0o755, 'one that is there is left as it is')
  await writeFile(`${dir}/file`, '')
  for (const path of [`${dir}/file/x`, `${dir}/file`, '/proc/none/x']) {
    const error = await failureOf(makeDirectories(path))
    t.match(error, { code: 'IO_FAILED', message: /^the directory .* cannot be made$/ }, path)
  }
})

t.test('syncs and renames', async t => {
  const dir = tempDir(t)
  await makeDirectories(`${dir}/a`, `${dir}/b`)
  await writeFile(`${dir}/a/f`, 'x')
  await renameDurably(`${dir}/a/f`, `${dir}/b/g`)
  t.equal(await readFile(`${dir}/b/g`, 'utf8'), 'x')
  t.match(await failureOf(renameDurably(`${dir}/a/f`, `${dir}/b/h`)), {
    code: 'IO_FAILED',
    cause: { code: 'ENOENT' },
  })
  await syncDirectories(dir, dir, `${dir}/a`)
  t.match(await failureOf(syncDirectory(`${dir}/b/g`)), { code: 'IO_FAILED' }, 'a file is none')
  t.match(await failureOf(syncDirectories(dir, `${dir}/none`)), { code: 'IO_FAILED' })
  t.ok((await freeRoom(dir)).freeBytes > 0)
})
