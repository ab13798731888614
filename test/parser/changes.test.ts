import { lstatSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { changeSinceClaim, changeSinceRead } from '../../parser/changes.ts'
import { identityOf } from '../../shared/file-identity.ts'
import { tempDir } from '../shared/helpers.ts'
import { digestOf, entryOf, hashOf } from './journal/helpers.ts'

const identity = { dev: 1n, ino: 2n, size: 10n, mtimeNs: 1_700_000_000_123_456_789n }
const found = (text: string, sizeBytes = 10) => ({ sha256: hashOf(text), sizeBytes })
const hex = (text: string): string => hashOf(text).toString('hex')

t.test('what is read is what was claimed', async t => {
  const claimed = entryOf(1, { identity })
  t.equal(changeSinceClaim(claimed, found('x'), identity), undefined)
  t.match(changeSinceClaim(claimed, found('x', 0), identity), '10 bytes were claimed, now it has 0')
  const later = { ...identity, mtimeNs: identity.mtimeNs + 1n }
  t.match(changeSinceClaim(claimed, found('x'), later), /last modification was at 2023-11-14T22:/)
  const wholeSecond = { ...identity, mtimeNs: 1_700_000_000_000_000_000n }
  t.equal(changeSinceClaim(claimed, found('x'), wholeSecond), undefined, 'back from an archive')
  t.equal(changeSinceClaim(claimed, found('x'), { ...identity, ino: 9n }), undefined, 'the same')
  const prefix = { ...found('x'), changedPrefixBytes: 5 }
  t.match(changeSinceClaim(claimed, prefix, identity), /its first 5 bytes/)
})

t.test('a hash that is known decides', async t => {
  const known = entryOf(1, { identity, digest: digestOf('x') })
  t.equal(changeSinceClaim(known, found('x'), { ...identity, mtimeNs: 5n }), undefined)
  t.equal(
    changeSinceClaim(known, found('y'), identity),
    `its sha256 was ${hex('x')}, now it is ${hex('y')}`,
  )
})

t.test('what its maker says decides before all', async t => {
  const none = { lines: undefined, amount: undefined }
  const vouched = entryOf(1, { expected: { sha256: hex('x'), sizeBytes: 12, ...none } })
  t.equal(
    changeSinceClaim(vouched, found('x', 12), identity),
    undefined,
    'replaced by the right one',
  )
  t.match(changeSinceClaim(vouched, found('y', 12), identity), /10 bytes were claimed/)
  t.equal(changeSinceClaim(vouched, found('y'), identity), undefined, 'wrong from the beginning')
})

t.test('what is counted is what was read', async t => {
  const path = join(tempDir(t), 'a')
  writeFileSync(path, '1234 5678\n')
  const now = () => lstatSync(path, { bigint: true })
  const read = entryOf(1, { identity: identityOf(now()) })
  const change = (entry = read) => changeSinceRead(entry, { sizeBytes: 10 }, now())
  t.equal(change(), undefined)
  utimesSync(path, 5, 5)
  t.match(change(), /it was written to at 1970-01-01T00:00:05/)
  t.equal(change(entryOf(1)), undefined, 'an older program did not note it')
  writeFileSync(path, '1 2\n')
  t.match(change(entryOf(1)), '10 bytes were read, now it has 4')
  writeFileSync(`${path}.new`, '1234 5678\n')
  renameSync(`${path}.new`, path)
  t.match(change(), /another file/)
})
