import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import t from 'tap'
import { tryRenames } from '../../shared/trial-rename.ts'
import { failureOf, tempDir } from './helpers.ts'

t.test('directories between which files can be renamed, and others', async t => {
  const dir = tempDir(t)
  const [a, b, c] = ['a', 'b', 'c'].map(name => `${dir}/${name}`) as [string, string, string]
  for (const path of [a, b, c]) mkdirSync(path)
  await tryRenames(a, b, c)
  t.same(
    [a, b, c].flatMap(path => readdirSync(path)),
    [],
    'nothing is left',
  )

  t.match(await failureOf(tryRenames(a, '/proc/self')), { code: 'STATE_DIRECTORY_UNFIT' })
  if (process.getuid?.() !== 0) {
    chmodSync(c, 0o500)
    const error = await failureOf(tryRenames(a, b, c))
    t.match(error, { code: 'STATE_DIRECTORY_UNFIT', message: /between .*a and .*c \(EACCES/ })
    return
  }
  try {
    execFileSync('mount', ['--bind', b, c], { stdio: 'ignore' })
  } catch {
    t.comment('skipped: mounting is not permitted here')
    return
  }
  t.teardown(() => void execFileSync('umount', ['--lazy', c]))
  t.match(await failureOf(tryRenames(a, b, c)), {
    code: 'STATE_DIRECTORY_UNFIT',
    message: /a and .*c are on two filesystems, or one of them is a mount of its own/,
  })
})
