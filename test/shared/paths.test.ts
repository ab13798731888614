import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import t from 'tap'
import { NAME_BYTES_MAX } from '../../shared/limits.ts'
import {
  classifyName,
  parseSettledName,
  parseWorkName,
  sanitiseName,
  settledName,
  statePaths,
  UNFINISHED_ENDINGS,
  whyNoDataName,
  workName,
} from '../../shared/paths.ts'
import { ROOT } from '../helpers/root.ts'
import { failureOf, tempDir } from './helpers.ts'

t.test('everything lives below the state directory, absolute', async t => {
  const paths = statePaths('x/../var')
  t.equal(paths.dir, resolve('var'))
  for (const [key, path] of Object.entries(paths)) {
    t.ok(isAbsolute(path) && `${path}/`.startsWith(`${paths.dir}/`), key)
  }
  t.equal(new Set(Object.values(paths)).size, Object.keys(paths).length, 'no two are the same')
})

t.test('links to the state directory are followed once, as far as it is there', async t => {
  const dir = tempDir(t)
  mkdirSync(join(dir, 'one'))
  symlinkSync(join(dir, 'one'), join(dir, 'current'))
  t.equal(statePaths(join(dir, 'current')).dir, join(dir, 'one'))
  t.equal(statePaths(join(dir, 'current', 'a', 'b')).dir, join(dir, 'one', 'a', 'b'))
})

t.test('a directory too deep for sockets is refused, before anything could be cut', async t => {
  let deepest = 0
  for (let length = 1; length < 120; length += 1) {
    const dir = `/${'d'.repeat(length)}`
    try {
      const paths = statePaths(dir)
      deepest = length
      for (const path of [paths.parserSocket, paths.generatorSocket, paths.mariadbSocket]) {
        t.ok(Buffer.byteLength(`${path}.4194304`) <= 100, 'there is room for a pid')
      }
    } catch (error) {
      t.match(error, { code: 'SOCKET_PATH_TOO_LONG', exitCode: 78 }, `${length}`)
    }
  }
  t.ok(deepest > 50 && deepest < 90)
  t.match(await failureOf(() => statePaths(`/${'ü'.repeat(45)}`)), { code: 'SOCKET_PATH_TOO_LONG' })
})

t.test('what the inbox makes of names', async t => {
  const longest = 'a'.repeat(NAME_BYTES_MAX)
  const names = {
    data: [
      'a',
      'a.txt',
      'ä ö.csv',
      longest,
      'ü'.repeat(100),
      'a.tmpx',
      'tmp',
      'x.json',
      '~',
      '-rf',
      '#',
      '#1',
      '~a',
      '$~a',
      'a.bak',
      'a.old',
      'a.new',
      'a.part1',
      'a.tmp.csv',
      'download',
    ],
    manifest: ['a.txt.manifest.json', 'a.tmp.manifest.json'],
    unfinished: [
      ...['.', '..', '.hidden', '.a.manifest.json', 'a.tmp', 'a.PART', 'a.partial', '.tmp'],
      ...['a.txt~', '~$a.csv', '#a#', '.#a', '.a.swp', 'a.manifest.json.part', 'a b.CRDOWNLOAD'],
      ...UNFINISHED_ENDINGS.flatMap(ending => [`a.csv${ending}`, `a${ending.toUpperCase()}`]),
    ],
    unfit: ['', 'a/b', 'a/../b', '/etc/passwd', `${longest}a`, 'ü'.repeat(101), 'a\n', 'a\u0000b'],
  } as const
  for (const [kind, examples] of Object.entries(names)) {
    for (const name of examples) t.equal(classifyName(name), kind, JSON.stringify(name))
  }
  for (const name of ['a\tb', 'a\u001b[31m', 'a\u007f', 'a\u0085', 'a\u009b', 'caf\ufffd']) {
    t.equal(classifyName(name), 'unfit', JSON.stringify(name))
  }
})

t.test('why a name cannot be taken', async t => {
  for (const [name, why] of [
    ['a', undefined],
    ['a.manifest.json', /manifest/],
    ['.a', /hidden/],
    ['a.FilePart', /ends in \.filepart/],
    ['~$a', /begins with ~\$/],
    ['#a#', /# #/],
    ['a/b', /path/],
    ['', /empty/],
    ['a\n', /control/],
    ['ü'.repeat(101), /202 bytes, at most 200/],
  ] as const) {
    if (why === undefined) t.equal(whyNoDataName(name), undefined)
    else t.match(whyNoDataName(name), why, JSON.stringify(name))
  }
})

t.test('the list of endings is in the README', async t => {
  const readme = readFileSync(`${ROOT}README.md`, 'utf8')
  const missing = UNFINISHED_ENDINGS.filter(ending => !readme.includes(`\`${ending}\``))
  t.same(missing, [])
})

t.test('names for the inbox made from any name', async t => {
  t.equal(sanitiseName('/a/b/c d.txt'), 'c_d.txt')
  t.equal(sanitiseName('...'), 'file')
  t.equal(sanitiseName('.env'), 'env')
  t.equal(sanitiseName('äöü'), '_')
  t.equal(sanitiseName('x'.repeat(300)).length, NAME_BYTES_MAX)
  t.equal(sanitiseName('x'.repeat(300), 10).length, 10)
  for (const path of ['/', '', 'a\nb', '\u0000', '../..', 'x'.repeat(999), '日本', 'a;rm -rf b']) {
    t.equal(classifyName(sanitiseName(path)), 'data', JSON.stringify(path))
  }
})

t.test('names in work/ sort as their sequences do and can be read back', async t => {
  for (const name of ['a', 'a.1', '000000000000001.a', 'ä', '.x', 'x'.repeat(NAME_BYTES_MAX)]) {
    for (const sequence of [0, 1, Date.now(), 10 ** 14]) {
      t.same(parseWorkName(workName(sequence, name)), { sequence, name })
    }
  }
  t.ok(workName(9, 'b') < workName(10, 'a'))
  for (const entry of [
    '',
    'a',
    '1.a',
    '000000000000001.',
    '0000000000000001.a',
    '-00000000000001.a',
    '999999999999999.a',
  ]) {
    t.equal(parseWorkName(entry), undefined, entry)
  }
})

t.test('names of settled files carry the hash, and still fit a directory', async t => {
  const sha256 = Buffer.from('0123456789abcdef'.repeat(4), 'hex')
  t.equal(settledName('a.txt', sha256), 'a.txt.0123456789abcdef')
  t.equal(settledName('a.txt', sha256, 7), 'a.txt.0123456789abcdef.000000000000007')
  const longest = 'a'.repeat(NAME_BYTES_MAX)
  t.ok(`.${settledName(longest, sha256, 1)}.reason.json.tmp`.length <= 255)
  t.ok(`${workName(1, longest)}.manifest.json`.length <= 255)
})

t.test('names of settled files can be read back', async t => {
  const sha256 = Buffer.from('0123456789abcdef'.repeat(4), 'hex')
  const hashPrefix = '0123456789abcdef'
  const longest = 'x'.repeat(NAME_BYTES_MAX)
  for (const name of ['a', 'a.txt', 'ä', '.x', longest, `a.${'f'.repeat(16)}`, 'a.', 'a\nb']) {
    for (const sequence of [undefined, 1]) {
      const entry = settledName(name, sha256, sequence)
      t.same(parseSettledName(entry), { name, hashPrefix }, name.slice(0, 40))
    }
  }
  for (const entry of [
    ...['', 'a', hashPrefix, `.${hashPrefix}`, `a.${hashPrefix.slice(1)}`, `a.${hashPrefix} `],
    ...[
      `a.${hashPrefix.toUpperCase()}`,
      `a.${hashPrefix}.reason.json`,
      `a.g${hashPrefix.slice(1)}`,
    ],
    ...[`a${hashPrefix}`, `a.${hashPrefix}\n`],
  ]) {
    t.equal(parseSettledName(entry), undefined, entry)
  }
})

t.test('from a directory that was removed', async t => {
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  const dir = tempDir(t)
  process.chdir(dir)
  rmSync(dir, { recursive: true })
  const error = await failureOf(() => statePaths('var'))
  t.match(error, { code: 'USAGE', message: /was removed, so there is no "var" in it/ })
  t.equal(statePaths('/var/lib/countersink').dir, '/var/lib/countersink')
})
