import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { archivedFiles, inspect } from '../../scripts/recovery/archived-files.ts'
import { bringBack } from '../../scripts/recovery/bring-back.ts'
import { ContentSet } from '../../scripts/recovery/content-set.ts'
import { findOnTheirWay } from '../../scripts/recovery/on-their-way.ts'
import { archivedName } from '../../shared/archive.ts'
import { classifyName, givenName, settledName, statePaths, workName } from '../../shared/paths.ts'
import { type DataFile, dataFile, manifestOf, sha256Of } from '../helpers/files.ts'
import { tempDir } from '../shared/helpers.ts'

// The parts of `recover` that need no database.

function directories(t: Parameters<typeof tempDir>[0]) {
  const paths = statePaths(tempDir(t))
  for (const path of [paths.inbox, paths.work, paths.archiveDisposable, paths.duplicate]) {
    mkdirSync(path, { recursive: true })
  }
  return paths
}

const settled = ({ name, content }: DataFile) =>
  settledName(name, Buffer.from(sha256Of(content), 'hex'))
const archivedAs = ({ name, content }: DataFile) =>
  join('2026', '11', '26', archivedName(name, Buffer.from(sha256Of(content), 'hex')))

t.test('a set of many hashes', async t => {
  const set = new ContentSet()
  const hashes = Array.from({ length: 5_000 }, (_, i) => sha256Of(Buffer.from(String(i))))
  const near = hashes.map(hash => hash.slice(0, 24) + (hash[24] === '0' ? '1' : '0').repeat(40))
  for (const hash of [...hashes, ...hashes]) set.add(hash)
  t.equal(set.size, 5_000)
  t.ok(hashes.every(hash => set.has(hash)))
  t.notOk(
    near.some(hash => set.has(hash)),
    'beginnings alone are not enough',
  )
})

t.test('what is on its way: by manifest, or by content', async t => {
  const paths = directories(t)
  const files = ['a', 'b c', 'ü', 'd'].map(name => dataFile(name, `1 ${name.length}${name}\n`))
  const [a, b, c, d] = files as [DataFile, DataFile, DataFile, DataFile]
  const put = (path: string, { content }: DataFile, manifest?: string): void => {
    writeFileSync(path, content)
    if (manifest !== undefined) writeFileSync(`${path}.manifest.json`, manifest)
  }
  const vouch = ({ content }: DataFile, changes = {}): string =>
    manifestOf(content, { lines: undefined, amount: undefined, ...changes })
  put(join(paths.inbox, 'one'), a, vouch(a))
  put(join(paths.inbox, 'two'), b)
  put(join(paths.work, workName(7, 'three')), c, vouch(c))
  put(join(paths.work, workName(8, '.four')), d)
  // These will not be counted as what their manifests say, or not at all.
  const [e, f, g] = ['e', 'f', 'g'].map(name => dataFile(name, `5 ${name}\n`))
  put(join(paths.inbox, 'cut'), e!, vouch(e!, { size: 1 }))
  put(join(paths.inbox, 'unfit'), e!, 'what')
  put(join(paths.inbox, 'y.part'), f!)
  put(join(paths.work, 'stranger'), g!)
  symlinkSync(join(paths.work, 'stranger'), join(paths.inbox, 'link'))
  mkdirSync(join(paths.inbox, 'folder'))
  // These may still be refused: for lines or an amount that they do not have, or other bytes.
  const [h, i] = ['8', '9'].map(name => dataFile(name, `6 ${name}\n`)) as [DataFile, DataFile]
  put(join(paths.inbox, 'more said'), h, manifestOf(h.content, { amount: '7' }))
  put(join(paths.inbox, 'other bytes'), dataFile('i', '6 7\n'), vouch(i))
  const { contents: found, certain } = await findOnTheirWay(paths)
  t.ok([...files, h, i].every(({ content }) => found.has(sha256Of(content))))
  t.equal(found.size, 6)
  t.ok([a, c].every(({ content }) => certain.has(sha256Of(content))))
  t.equal(certain.size, 2, 'what has no manifest may be cut')
  const nowhere = await findOnTheirWay(statePaths(join(paths.dir, 'none')))
  t.equal(nowhere.contents.size, 0)
})

t.test('what an archived file is today', async t => {
  const paths = directories(t)
  const one = dataFile('a name.with dots', '1 1')
  const two = dataFile('two', '1 2\n')
  const three = dataFile('three', '1 3\n')
  const four = dataFile('four.txt.gz', '1 4\n')
  mkdirSync(join(paths.archive, '2026', '11', '26'), { recursive: true })
  writeFileSync(join(paths.archive, archivedAs(four)), four.content)
  writeFileSync(join(paths.archive, '2026', '11', 'a file'), '1 1\n')
  writeFileSync(join(paths.archive, settled(one)), one.content)
  writeFileSync(join(paths.archiveDisposable, settled(two)), two.content.subarray(1))
  symlinkSync(join(paths.archive, settled(one)), join(paths.duplicate, settled(three)))
  writeFileSync(join(paths.archive, 'of somebody else'), '1 1\n')
  const groups = []
  for await (const group of archivedFiles(paths, 2)) groups.push(...group)
  t.same(
    groups.map(({ name, disposable }) => [name, disposable]),
    [
      ['a name.with dots', false],
      ['four.txt.gz', false],
      ['two', true],
      ['three', false],
    ],
  )
  const found = []
  for (const file of groups) found.push(await inspect(file))
  t.match(found, [
    { kind: 'whole', sha256: sha256Of(one.content), sizeBytes: 3 },
    { kind: 'whole', sha256: sha256Of(four.content), sizeBytes: 4 },
    { kind: 'changed', why: /its content is [0-9a-f]{64} today/ },
    { kind: 'changed', why: /link/ },
  ])
  t.match(await inspect({ ...groups[0]!, entry: 'none' }), { kind: 'gone' })
})

t.test('nothing in the inbox is written over', async t => {
  const paths = directories(t)
  const file = dataFile('x', '1 1\n')
  const sha256 = sha256Of(file.content)
  const entry = archivedAs(file)
  const day = join(paths.archive, '2026', '11', '26')
  mkdirSync(day, { recursive: true })
  const archived = {
    ...{ directory: paths.archive, entry, name: 'x', hashPrefix: sha256.slice(0, 12) },
    disposable: true,
  }
  const back = async (name = 'x'): Promise<string[]> => {
    writeFileSync(join(paths.archive, entry), file.content)
    const before = new Set(readdirSync(paths.inbox))
    await bringBack([{ file: { ...archived, name }, sha256, sizeBytes: 4 }], [], paths)
    t.same(readdirSync(day), [], 'it has left the archive')
    const names = readdirSync(paths.inbox).filter(one => !before.has(one))
    const data = names.find(one => classifyName(one) === 'data')!
    t.same(readFileSync(join(paths.inbox, data)), file.content)
    const manifest = JSON.parse(readFileSync(join(paths.inbox, `${data}.manifest.json`), 'utf8'))
    t.same(manifest, { version: 1, size: 4, sha256, disposable: true, rejectLines: '100%' })
    return names.sort()
  }
  const named = (digits: number, name = 'x') => `${name}-${sha256.slice(0, digits)}`
  const others = { x: 'data of somebody', [`${named(12)}.manifest.json`]: 'a manifest of somebody' }
  for (const [name, text] of Object.entries(others)) writeFileSync(join(paths.inbox, name), text)
  t.same(await back(), [named(13), `${named(13)}.manifest.json`])
  for (const [name, text] of Object.entries(others)) {
    t.equal(readFileSync(join(paths.inbox, name), 'utf8'), text)
  }
  t.same(await back(), [named(14), `${named(14)}.manifest.json`])
  t.equal(givenName(named(14), sha256), 'x', 'the ledger has its own name')

  t.same((await back('y.part'))[0], named(12, 'y.part'), 'a name that the scan passes over')
  const [long] = await back('ü'.repeat(100))
  t.same((await back('ü'.repeat(100)))[0], named(12, 'ü'.repeat(93)), 'and one that is too long')
  t.equal(long, 'ü'.repeat(100))
})

t.test('one file under two names: an interrupted run is known by it', async t => {
  const paths = directories(t)
  const file = dataFile('x', '1 1\n')
  const entry = settled(file)
  const path = join(paths.archive, entry)
  writeFileSync(path, file.content)
  const [archived] = (await archivedFiles(paths, 1).next()).value!
  linkSync(path, join(paths.inbox, 'x'))
  t.equal((await findOnTheirWay(paths)).linked.size, 0, 'nobody vouches for it there')
  writeFileSync(join(paths.inbox, 'x.manifest.json'), manifestOf(file.content))
  const found = await inspect(archived!)
  const { contents, linked } = await findOnTheirWay(paths)
  t.equal(contents.size, 1)
  t.ok(found.kind === 'whole' && linked.has(found.key ?? ''))
  await bringBack([], [archived!], paths)
  t.same(readdirSync(paths.archive), ['disposable'])
  t.same(readFileSync(join(paths.inbox, 'x')), file.content)

  writeFileSync(path, file.content)
  const other = await inspect(archived!)
  t.ok(other.kind === 'whole' && other.key === undefined, 'a copy is another file')
})
