import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  lstatSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Sealer } from '../../../parser/intake/sealer.ts'
import { identityOf } from '../../../shared/file-identity.ts'
import { eventually, tempDir, within } from '../../shared/helpers.ts'

const look = (path: string) => identityOf(lstatSync(path, { bigint: true }))

t.test('what is synced is what was asked about', async t => {
  const dir = tempDir(t)
  const sealer = new Sealer()
  const path = join(dir, 'a')
  for (const [text, mayBeCut] of [
    ['1 2\n', false],
    ['1 2', true],
    ['', true],
  ] as const) {
    writeFileSync(path, text)
    const identity = look(path)
    t.same(await sealer.seal(path, identity), { kind: 'sealed', identity, mayBeCut })
    t.match(await sealer.seal(path, identity, true), { kind: 'sealed', mayBeCut: false })
  }
  const before = look(path)
  appendFileSync(path, '3 4\n')
  t.same(await sealer.seal(path, before), { kind: 'again' })
  const now = look(path)
  rmSync(path)
  t.same(await sealer.seal(path, now), { kind: 'again' }, 'it is gone')
  execFileSync('mkfifo', [path])
  t.same(await within('an answer', sealer.seal(path, now)!), { kind: 'again' }, 'a pipe')
  rmSync(path)
  symlinkSync('/etc/passwd', path)
  t.same(await sealer.seal(path, now), { kind: 'again' }, 'a link')
  t.ok(sealer.isIdle)
})

t.test('what cannot be synced has failed for good, and it alone', async t => {
  const dir = tempDir(t)
  const sealer = new Sealer()
  // The kernel knows no fsync for it.
  const path = '/proc/self/cmdline'
  const identity = look(path)
  const failed = { kind: 'failed', why: /fsync|EINVAL/ }
  t.match(await sealer.seal(path, identity), failed)
  t.match(await sealer.seal(join(dir, 'elsewhere'), identity), failed, 'wherever it is by now')
  writeFileSync(join(dir, 'a'), '1 2\n')
  t.match(await sealer.seal(join(dir, 'a'), look(join(dir, 'a'))), { kind: 'sealed' })
})

t.test('large files do not hold up small ones, and too many wait elsewhere', async t => {
  const dir = tempDir(t)
  const sealer = new Sealer()
  const ended: string[] = []
  const seal = (name: string, sizeBytes: number) => {
    const path = join(dir, name)
    writeFileSync(path, '')
    truncateSync(path, sizeBytes)
    return sealer.seal(path, look(path))?.then(() => void ended.push(name))
  }
  const wishes: unknown[] = []
  for (let i = 0; i < 40; i += 1) wishes.push(seal(`large-${i}`, 2 ** 30))
  for (let i = 0; i < 5; i += 1) wishes.push(seal(`small-${i}`, 5))
  await eventually('all small ones', () => ended.filter(name => /small/.test(name)).length === 5)
  t.ok(ended.length < 40, `${ended.length} have ended`)
  let refused = 0
  for (let i = 0; i < 2_000; i += 1) {
    const wish = seal('again', 5)
    wishes.push(wish)
    if (wish === undefined) refused += 1
  }
  t.ok(refused > 0)
  await Promise.all(wishes)
  t.ok(sealer.isIdle)
})

t.test('what was announced passes by what a look has found, however much that is', async t => {
  const dir = tempDir(t)
  const sealer = new Sealer()
  const path = join(dir, 'a')
  writeFileSync(path, '1 2\n')
  const ended: string[] = []
  const identity = look(path)
  let found = 0
  const wishes: unknown[] = []
  for (;;) {
    const wish = sealer.seal(path, identity)
    if (wish === undefined) break
    found += 1
    wishes.push(wish.then(() => void ended.push('found')))
  }
  const announced = sealer.seal(path, identity, true)
  t.ok(announced, 'there is room for it')
  await announced
  t.ok(ended.length < found / 2, `${ended.length} of ${found} have ended`)
  await Promise.all(wishes)
  t.ok(sealer.isIdle)
})
