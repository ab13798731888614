import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  archiveDay,
  archiveDirectories,
  archivedName,
  parseArchivedName,
} from '../../shared/archive.ts'
import { NAME_BYTES_MAX } from '../../shared/limits.ts'
import { ENTRY_BYTES_MAX, MANIFEST_SUFFIX, publishedName } from '../../shared/paths.ts'
import { tempDir } from './helpers.ts'

const sha256 = Buffer.from('de0400aa12bc34ff'.repeat(4), 'hex')
const hex = sha256.toString('hex')
const named = (name: string, sequence?: number): string => archivedName(name, sha256, sequence)

t.test('the hash stands before the ending', async t => {
  for (const [name, archived] of [
    ['calls-2026.txt', 'calls-2026.de0400aa12bc.txt'],
    ['calls', 'calls.de0400aa12bc'],
    ['calls.txt.gz', 'calls.de0400aa12bc.txt.gz'],
    ['calls.v2.txt', 'calls.v2.de0400aa12bc.txt'],
    ['calls.csv.7z', 'calls.csv.de0400aa12bc.7z'],
    ['calls.gz', 'calls.de0400aa12bc.gz'],
    // What comes behind a dot and is no kind of file stays where it is.
    ['calls.2026-11-26', 'calls.2026-11-26.de0400aa12bc'],
    ['calls.txt.1', 'calls.txt.1.de0400aa12bc'],
    ['calls.20261126', 'calls.20261126.de0400aa12bc'],
    ['calls.', 'calls..de0400aa12bc'],
    ['calls.of November', 'calls.of November.de0400aa12bc'],
    // Hidden files have no ending but a second one.
    ['.calls', '.calls.de0400aa12bc'],
    ['.calls.txt', '.calls.de0400aa12bc.txt'],
    // As an archived file is named, and with what `publish` puts behind.
    ['calls.de0400aa12bc.txt', 'calls.de0400aa12bc.de0400aa12bc.txt'],
    ['calls.0123456789ab', 'calls.0123456789ab.de0400aa12bc'],
    [publishedName('calls-2026.txt', hex), 'calls-2026.de0400aa12bc.txt'],
    [publishedName('calls', hex, 17), 'calls.de0400aa12bc'],
    ['calls-0123456789ab', 'calls-0123456789ab.de0400aa12bc'],
  ] as const) {
    t.equal(named(name), archived)
  }
  t.equal(named('calls.txt', 7), 'calls.de0400aa12bc.000000000000007.txt')
})

t.test('what a file is called can be read back', async t => {
  const parts = [
    'a',
    '.',
    'txt',
    'gz',
    '-',
    'ü',
    '0123456789ab',
    '0123456789abcdef',
    '7',
    ' ',
    '\n',
  ]
  const names = ['a', 'calls.txt', 'a.000000000000001', 'a.000000000000001.txt']
  for (const one of parts) {
    for (const two of parts) {
      for (const three of parts) names.push(`${one}${two}${three}`, `${one}.${two}.${three}.txt`)
    }
  }
  for (const name of new Set(names)) {
    for (const sequence of [undefined, 1]) {
      const archived = named(name, sequence)
      t.same(
        parseArchivedName(archived),
        { name, hashPrefix: 'de0400aa12bc' },
        JSON.stringify(archived),
      )
    }
  }
  for (const entry of [
    ...['', 'a', 'a.txt', '.de0400aa12bc', 'a.de0400aa12b', 'a.de0400aa12bc34', 'ade0400aa12bc'],
    ...['a.DE0400AA12BC', 'a.de0400aa12bc.txt.csv.gz', 'a.de0400aa12bc.txt ', 'a.g00000000000'],
    'a.de0400aa12bc34ff',
  ]) {
    t.equal(parseArchivedName(entry), undefined, entry)
  }
})

t.test('a name always fits, cut between two characters', async t => {
  const longest = `${'x'.repeat(NAME_BYTES_MAX - 4)}.txt`
  t.equal(parseArchivedName(named(longest, 1))?.name, longest, 'whatever the inbox takes is whole')
  for (const character of ['x', 'ü', '€', '😀']) {
    for (const ending of ['', '.txt', '.abcdefghij.bz2']) {
      for (let bytes = 205; bytes <= ENTRY_BYTES_MAX; bytes += 1) {
        const stem = 'x'.repeat(bytes % 4) + character.repeat(Math.floor(bytes / 4))
        const archived = named(`${stem}${character.repeat(64)}${ending}`, 1)
        t.ok(Buffer.byteLength(`${archived}${MANIFEST_SUFFIX}`) <= ENTRY_BYTES_MAX)
        t.notMatch(archived, /\ufffd/)
        t.ok(archived.endsWith(ending))
      }
    }
  }
})

t.test('a day is the one in UTC', async t => {
  t.equal(archiveDay(Date.parse('2026-01-31T23:59:59.999Z')), '2026/01/31')
  t.equal(archiveDay(Date.parse('2026-02-01T00:30:00+01:00')), '2026/01/31')
})

t.test('the directories of an archive: that of earlier versions, then each day', async t => {
  const dir = tempDir(t)
  for (const path of [
    '2027/01/01',
    '2026/12/31',
    '2026/02/01',
    '2026/1/1',
    'disposable/2026/01/01',
  ]) {
    mkdirSync(join(dir, path), { recursive: true })
  }
  writeFileSync(join(dir, '2028'), 'a file')
  const found: string[] = []
  for await (const directory of archiveDirectories(dir)) found.push(directory)
  t.same(found, ['', '2026/02/01', '2026/12/31', '2027/01/01'])
})
