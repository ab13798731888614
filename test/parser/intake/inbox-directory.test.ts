import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { InboxDirectory } from '../../../parser/intake/inbox-directory.ts'
import { type Teardown, tempDir } from '../../shared/helpers.ts'
import { recordingLog } from '../helpers.ts'

function scene(t: Teardown) {
  const path = join(tempDir(t), 'inbox')
  mkdirSync(path)
  const log = recordingLog()
  const directory = new InboxDirectory(path, log)
  const names = (): string[] | 'away' => {
    const all: string[] = []
    for (;;) {
      const entry = directory.next()
      if (entry === 'end') return all.sort()
      if (entry === 'away') return entry
      all.push(entry.name)
    }
  }
  return { path, log, directory, names }
}

t.test('one that is gone is made again, also in the middle of a look', async t => {
  const { path, log, directory, names } = scene(t)
  for (const name of ['a', 'b']) writeFileSync(join(path, name), '')
  t.same(names(), ['a', 'b'])
  t.match(directory.next(), { name: String })
  rmSync(path, { recursive: true })
  names()
  t.same(names(), [])
  t.equal(directory.awayBecause, undefined)
  t.match(log.lines, [{ level: 'warn', message: /inbox was gone.*made again/ }])
  rmdirSync(path)
  t.ok(directory.check())
  t.equal(log.lines.length, 2, 'each time it is told of')
})

t.test('one that cannot be opened or made is waited for, told of once', async t => {
  const { path, log, directory, names } = scene(t)
  const spoil: [string, () => void, RegExp][] = [
    ['a file', () => writeFileSync(path, ''), /directory/],
    ['a link to nothing', () => symlinkSync('nowhere', path), /ENOENT/],
    ['a link to itself', () => symlinkSync('inbox', path), /ELOOP/],
  ]
  for (const [what, put, because] of spoil) {
    log.lines.splice(0)
    rmSync(path, { recursive: true })
    put()
    for (let i = 0; i < 5; i += 1) t.equal(names(), 'away', what)
    t.match(directory.awayBecause, because)
    t.equal(log.lines.length, 1)
    rmSync(path)
    mkdirSync(path)
    writeFileSync(join(path, 'a'), '')
    t.same(names(), ['a'])
    t.equal(directory.awayBecause, undefined)
    t.match(log.lines.at(-1), { message: /(there again|another directory)/ })
  }
})

t.test('another one in its place is told of, and read from its beginning', async t => {
  const { path, log, directory, names } = scene(t)
  for (const name of ['a', 'b']) writeFileSync(join(path, name), '')
  directory.next()
  renameSync(path, `${path}.old`)
  mkdirSync(path)
  writeFileSync(join(path, 'c'), '')
  directory.check()
  t.same(names(), ['c'])
  t.match(log.lines, [{ level: 'warn', message: /another directory/ }])
})

t.test('one that is denied to us is away, and told of once', async t => {
  const { path, log, directory, names } = scene(t)
  const isRoot = process.geteuid?.() === 0
  if (isRoot) {
    // Root is denied nothing.
    for (const owned of [dirname(path), path]) chownSync(owned, 65_534, 65_534)
    process.seteuid?.(65_534)
  }
  try {
    for (const mode of [0o000, 0o300]) {
      log.lines.splice(0)
      chmodSync(path, mode)
      for (let i = 0; i < 5; i += 1) {
        t.equal(names(), 'away')
        t.notOk(directory.check())
      }
      t.match(directory.awayBecause, /EACCES/)
      t.equal(log.lines.length, 1)
      chmodSync(path, 0o700)
      t.same(names(), [])
      t.equal(directory.awayBecause, undefined)
    }
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

t.test('one that cannot be opened for want of descriptors is told of once', async t => {
  const { log, directory, names } = scene(t)
  t.same(names(), [])
  const open: number[] = []
  try {
    for (;;) open.push(openSync('/dev/null', 'r'))
  } catch {
    // There are no more.
  }
  for (let i = 0; i < 5; i += 1) {
    names()
    directory.check()
  }
  const because = directory.awayBecause
  for (const fd of open) closeSync(fd)
  t.match(because, /EMFILE/)
  t.equal(log.lines.length, 1)
  t.same(names(), [])
  t.equal(directory.awayBecause, undefined)
})
