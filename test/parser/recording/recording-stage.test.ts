import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import { workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { asTotals, type Pairs, startServer } from '../ledger/helpers.ts'
import {
  FATES,
  type Fate,
  giveBack,
  PAIRS,
  ROWS,
  rowsScene,
  SUM,
  type Whose,
} from './rows-scene.ts'

// What becomes of a file whose content has a row: the row decides. Here somebody else counts.

const server = await startServer(t)

for (const [state, fates] of Object.entries(FATES) as [
  LedgerFile['state'],
  typeof FATES.staged,
][]) {
  for (const [whose, { first, end }] of Object.entries(fates) as [Whose, Fate][]) {
    t.test(`${state}, of ${whose}: ${first}, in the end ${end}`, async t => {
      const s = await rowsScene(t, server)
      const file = s.read('it', PAIRS)
      await ROWS[state](s, file, whose)
      await s.hand(file)
      if (first === 'waits') {
        await s.waiting(1)
        t.same(s.outcomes, {})
        t.ok(s.closed.includes('it'), 'it holds no sums meanwhile')
        if (state === 'staging' && whose === 'other') {
          await eventually('it is read again', () => s.readAgain.length > 0)
          t.same(s.readAgain, [file.entry.sequence])
          await s.hand(file)
        }
        if (state === 'applying') await giveBack(s)
        if (state === 'reverting') {
          await s.session.execute("UPDATE countersink_file SET state = 'reverted'")
        } else {
          await eventually('it is recorded', async () => (await s.row(file))?.state === 'staged')
          await s.countAll()
        }
      }
      await s.settled(1)
      t.same(s.outcomes, { it: end })
      t.equal(s.decider.reason, undefined)
      t.same(await s.totals(), end === 'quarantined' || end === 'held' ? {} : SUM, 'once')
      const reason = s.journal.processed(1)?.reason
      if (end === 'quarantined') {
        t.equal(reason, 'TOTAL_OVERFLOW: too much')
        const sidecar = readdirSync(s.paths.quarantine).find(name => name.endsWith('.json'))
        const text = readFileSync(join(s.paths.quarantine, sidecar ?? ''), 'utf8')
        t.match(JSON.parse(text).whatNow, /^Nothing of this file was counted/)
      }
      if (end === 'held') t.equal(reason, whose === 'ours' ? 'words' : 'its content is held, as it')
      if (end === 'duplicate') t.equal(reason, 'counted before as it')
    })
  }
}

t.test('refused while it waits for it, of other: refused as well', async t => {
  const s = await rowsScene(t, server)
  const file = s.read('it', PAIRS)
  const { entry, digest } = file
  await ROWS.staged(s, file, 'other')
  // One that the journal calls counted: its row is looked at before it waits.
  await s.hand({ kind: 'duplicate', entry, digest })
  await s.waiting(1)
  await s.session.execute(
    "UPDATE countersink_file SET state = 'refused', reason = 'TOTAL_OVERFLOW: too much'",
  )
  await s.session.execute('DELETE FROM countersink_todo')
  await s.settled(1)
  t.same(s.outcomes, { it: 'quarantined' })
  t.equal(s.journal.processed(1)?.reason, 'TOTAL_OVERFLOW: too much')
  t.equal(await s.rows('todo'), 0, 'it is not offered again, for others to do the same in turn')
})

t.test(
  'counted there, and gone from the database since: nothing more is written to it',
  async t => {
    const s = await rowsScene(t, server)
    await s.hand(s.read('it', PAIRS))
    await s.waiting(1)
    await s.countAll()
    await s.settled(1)
    t.same(s.outcomes, { it: 'applied' })
    // As in a backup from before, under a connection that stays.
    await s.session.execute('DELETE FROM countersink_file')
    await s.hand(s.read('next', [[1n, 1n]]))
    await eventually('it is noticed', () => s.outages.some(why => why.includes('LEDGER_BEHIND')))
    t.equal(await s.rows('file'), 0)
    s.stop()
  },
)

t.test('none: recorded here, counted there, settled here', async t => {
  const s = await rowsScene(t, server)
  const large: Pairs = Array.from({ length: 9 }, (_, i) => [BigInt(i), 1n])
  await s.hand(s.read('small', [[1n, 1n]]), s.read('large', large))
  await s.waiting(2)
  t.same([await s.rows('todo'), await s.totals()], [2, {}])
  await s.countAll()
  await s.settled(2)
  t.same(s.outcomes, { small: 'applied', large: 'applied' })
  t.same(await s.totals(), { ...asTotals(large), 1: '2' })
})

t.test('equal contents that are read together: one is counted, one a duplicate', async t => {
  const s = await rowsScene(t, server)
  const first = s.read('first', PAIRS)
  await s.hand(first, s.read('second', PAIRS, { digest: first.digest }))
  await s.waiting(2)
  await s.countAll()
  await s.settled(2)
  t.same(s.outcomes, { first: 'applied', second: 'duplicate' })
  t.same(await s.totals(), SUM)
})

t.test('what the journal calls counted, and the ledger does not have, is read again', async t => {
  const s = await rowsScene(t, server)
  const { entry, digest } = s.read('absent', PAIRS)
  const facts = { ...digest, sha256: Buffer.from(digest.sha256).toString('hex'), amount: '18' }
  s.journal.learn([
    {
      ...{ ...facts, name: 'once', outcome: 'applied', claimedAtMs: 1, settledAtMs: 1 },
      ...{ digestStartedAtMs: 1, digestedAtMs: 1 },
    },
  ])
  await s.hand({ kind: 'duplicate', entry, digest })
  await eventually('it is read again', () => s.readAgain.length > 0)
  t.same(s.readAgain, [entry.sequence])
  t.equal(s.journal.content(digest.sha256)?.applied, 0, 'and called counted no longer')
})

t.test('what the journal calls counted, and somebody else has begun to record', async t => {
  const s = await rowsScene(t, server)
  const file = s.read('begun', PAIRS)
  const { entry, digest } = file
  await ROWS.staging(s, file, 'other')
  const facts = { ...digest, sha256: Buffer.from(digest.sha256).toString('hex'), amount: '18' }
  s.journal.learn([
    {
      ...{ ...facts, name: 'once', outcome: 'applied', claimedAtMs: 1, settledAtMs: 1 },
      ...{ digestStartedAtMs: 1, digestedAtMs: 1 },
    },
  ])
  await s.hand({ kind: 'duplicate', entry, digest })
  await eventually('it is read again', () => s.readAgain.length > 0)
  t.equal(s.journal.content(digest.sha256)?.applied, 0, 'it would be a duplicate again and again')
})

t.test('the file is missing, its sums are in the ledger: it waits for them', async t => {
  const s = await rowsScene(t, server)
  const file = s.read('gone', PAIRS)
  const { entry, digest } = file
  await ROWS.staged(s, file, 'ours')
  rmSync(join(s.paths.work, workName(entry.sequence, entry.name)))
  const reason = { code: 'FILE_MISSING', text: 'it is not there' } as const
  await s.hand({ kind: 'quarantine', isMissing: true, entry, digest, reason, evidence: {} })
  await s.waiting(1)
  await s.countAll()
  await s.settled(1)
  t.same(s.outcomes, { gone: 'applied' })
})

t.test('too many that wait hold up what comes, and nothing is lost', async t => {
  const s = await rowsScene(t, server, { filesMax: 2 })
  const names = Array.from({ length: 12 }, (_, i) => `f${i}`)
  const files = names.map((name, i) => s.read(name, [[BigInt(i), 1n]]))
  const handing = s.hand(...files)
  await eventually('no more is taken', () => s.decider.isFull)
  t.ok((await s.rows('file')) < 12)
  const counted = async (): Promise<boolean> => {
    await s.countAll()
    return Object.keys(s.outcomes).length === 12
  }
  await eventually('all come through', counted)
  await handing
  t.equal(Object.keys(await s.totals()).length, 12)
})
