import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Journal } from '../../../parser/journal/journal.ts'
import { ownJournal } from '../../../parser/journal/journal-lock.ts'
import { readJournal } from '../../../parser/journal/reading.ts'
import { hasCode } from '../../../shared/errors.ts'
import { silentLog } from '../../../shared/log.ts'
import { tempDir } from '../../shared/helpers.ts'
import { entryOf } from './helpers.ts'

// LMDB without room: an error with a code, and never the death of the process.

t.test('a disk that is full to the last byte, and freed', async t => {
  const disk = smallDisk(t)
  if (disk === undefined) return t.pass('skipped: mounting a tmpfs is not permitted here')
  const filler = fill(disk)
  const path = join(disk, 'journal')
  t.throws(() => Journal.open(path), { code: 'JOURNAL_FAILED', advice: /^Make room/ })
  rmSync(filler)
  const journal = Journal.open(path, 1)
  journal.claim([entryOf(1)])
  fill(disk)
  const claimMany = (): void => {
    for (let i = 2; i < 1_000; i += 1) journal.claim([entryOf(i, { name: 'n'.repeat(200) })])
  }
  t.throws(claimMany, { code: 'JOURNAL_FAILED', advice: /^Make room/ })
  rmSync(filler)
  await journal.close()
  const again = Journal.open(path)
  t.match(again.queued(1), { sequence: 1 }, 'what was acknowledged is there')
  await again.close()
})

t.test('a journal that is none', async t => {
  const path = join(tempDir(t), 'journal')
  mkdirSync(join(path, 'data.mdb'), { recursive: true })
  t.throws(() => Journal.open(path), { code: 'JOURNAL_FAILED', advice: /local filesystem/ })
})

t.test('one that is cut, or something else, is an error, and no death by a signal', async t => {
  const path = join(tempDir(t), 'journal')
  const journal = Journal.open(path, 1)
  for (let i = 1; i < 100; i += 1) journal.claim([entryOf(i)])
  await journal.close()
  const data = join(path, 'data.mdb')
  const whole = readFileSync(data)
  const refused = { code: 'JOURNAL_UNREADABLE', mend: [`mv ${path} ${path}.damaged`] }
  for (const bytes of [
    'junk',
    whole.subarray(0, 4_096),
    whole.subarray(0, 8_192),
    whole.fill(1, 4_096, 8_192),
  ]) {
    writeFileSync(data, bytes)
    t.throws(() => Journal.open(path), refused)
    await t.rejects(
      readJournal(path, () => {}),
      refused,
    )
  }
  // What its owner is writing just now may look like that: it is not looked at.
  const owner = await ownJournal(path, silentLog)
  await t.rejects(
    readJournal(path, () => {}),
    { code: 'JOURNAL_IN_USE' },
  )
  owner.release()
  writeFileSync(data, '')
  t.equal(await readJournal(path, () => 'read'), undefined, 'its making was interrupted')
  await Journal.open(path).close()
})

function smallDisk(t: Test): string | undefined {
  const mountPoint = tempDir(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', mountPoint], {
      stdio: 'ignore',
    })
  } catch {
    // Only root may, and not in every container.
    return undefined
  }
  t.teardown(() => void execFileSync('umount', ['--lazy', mountPoint]))
  return mountPoint
}

function fill(disk: string): string {
  const filler = join(disk, 'filler')
  try {
    writeFileSync(filler, Buffer.alloc(2 ** 20))
  } catch (error) {
    if (!hasCode(error, 'ENOSPC')) throw error
  }
  return filler
}
