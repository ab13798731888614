import { mkdirSync, renameSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { InboxDirectory } from '../../parser/inbox-directory.ts'
import { type Teardown, tempDir } from '../shared/helpers.ts'
import { recordingLog } from './helpers.ts'

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
