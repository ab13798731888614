import { existsSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { ArchiveLimit } from '../../../parser/settling/archive-limit.ts'
import { archivedName } from '../../../shared/archive.ts'
import { publishedName, settledName, workName } from '../../../shared/paths.ts'
import { digestOf, hashOf } from '../journal/helpers.ts'
import { filesBelow, ofItsDay, settlerScene } from './settler-scene.ts'

// Where a file stands that was counted, and which of the archive's are deleted.

t.test('a file goes to the day on which it was settled, also when it is moved later', async t => {
  const { paths, settler, settling, claimed } = await settlerScene(t)
  const left = settling(claimed(1, { name: 'calls.txt' }))
  const place = ofItsDay(left)
  t.match(place, /^2023.11.14.calls\.[0-9a-f]{12}\.txt$/)
  // A crash has left it under both names.
  mkdirSync(dirname(join(paths.archive, place)), { recursive: true })
  const inWork = join(paths.work, workName(1, 'calls.txt'))
  linkSync(inWork, join(paths.archive, place))
  await settler.move([left])
  t.notOk(existsSync(inWork))
  t.same(filesBelow(paths.archive), [place])

  const another = settling(claimed(2, { name: 'calls.txt' }))
  await settler.move([another])
  const own = ofItsDay(another, 2)
  t.same(filesBelow(paths.archive), [place, own].sort(), 'nothing is overwritten')

  const published = settling(
    claimed(3, { name: publishedName('day', hashOf('x').toString('hex')) }),
  )
  await settler.move([published])
  t.match(filesBelow(paths.archive).join(' '), /2023.11.14.day\.[0-9a-f]{12}$/, 'as it was given')
})

t.test('what an earlier version has settled goes where that has put it', async t => {
  const { paths, settler, settling, claimed } = await settlerScene(t)
  const { settledAtMs, ...left } = settling(claimed(1))
  t.ok(settledAtMs)
  await settler.move([left])
  t.same(filesBelow(paths.archive), [settledName('f1', hashOf('x'))])
})

t.test('a day that cannot be made holds its own files, one that is gone is made again', async t => {
  const { paths, settler, settling, claimed } = await settlerScene(t)
  writeFileSync(join(paths.archive, '2023'), 'of somebody')
  const first = settling(claimed(1))
  const { outcome, digest } = first
  await settler.move([first])
  t.match(settler.unmoved, { files: 1, first: [{ name: 'f1', why: /2023.* cannot be made/ }] })
  await settler.settle([{ entry: claimed(2), outcome: outcome!, digest: digest! }])
  t.match(settler.unmoved, { files: 1 }, 'its neighbour of another day')
  rmSync(join(paths.archive, '2023'))
  await settler.move([first])
  t.equal(settler.unmoved, undefined)
  rmSync(join(paths.archive, '2023'), { recursive: true })
  const third = settling(claimed(3))
  await settler.move([third])
  t.ok(existsSync(join(paths.archive, ofItsDay(third))))
})

t.test('moving again what is archived does not count it twice against the limit', async t => {
  const { paths, settler, settling, claimed, log } = await settlerScene(t, 15)
  const entry = settling(claimed(1, { disposable: true }))
  await settler.move([entry])
  // As after a crash behind the move: it stands in the archive and the journal does not know.
  await settler.move([entry])
  t.same(filesBelow(paths.archiveDisposable), [ofItsDay(entry)], 'it is kept')
  t.same(
    log.lines.filter(({ message }) => message.startsWith('deleted')),
    [],
  )
})

t.test('the archive limit deletes the oldest disposable files only', async t => {
  const { paths, settler, claimed, log } = await settlerScene(t, 25)
  writeFileSync(join(paths.archive, 'yours'), 'x'.repeat(1_000))
  for (const sequence of [1, 2, 3]) {
    const entry = claimed(sequence, { disposable: true })
    await settler.settle([{ entry, outcome: 'applied', digest: digestOf(`t${sequence}`) }])
    const other = claimed(sequence + 10)
    await settler.settle([{ entry: other, outcome: 'applied', digest: digestOf(`c${sequence}`) }])
  }
  const kept = [2, 3].map(i => archivedName(`f${i}`, hashOf(`t${i}`)))
  const names = filesBelow(paths.archiveDisposable).map(path => basename(path))
  t.same(names.sort(), kept.sort(), 'ten bytes each')
  t.equal(filesBelow(paths.archive).length, 6, 'these, yours, and three of yours')
  const again = await ArchiveLimit.open(paths.archiveDisposable, 5, log)
  t.equal(filesBelow(paths.archiveDisposable).length, 1, 'a start finds those of all days')
  await again.added(join('2023', '11', '14', 'none'), 100)
  t.same(filesBelow(paths.archiveDisposable), [])
  t.ok(statSync(join(paths.archive, 'yours')).size === 1_000)
})
