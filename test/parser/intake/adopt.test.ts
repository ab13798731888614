import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { adoptWork } from '../../../parser/intake/adopt.ts'
import {
  ADOPTION,
  type FoundInWork,
  type KnownToJournal,
} from '../../../parser/intake/adoption-cases.ts'
import { type Candidate, claimFiles } from '../../../parser/intake/claim.ts'
import { Journal } from '../../../parser/journal/journal.ts'
import { identityOf } from '../../../shared/file-identity.ts'
import { formatManifest } from '../../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths, workName } from '../../../shared/paths.ts'
import { REFUSED } from '../../../shared/state-table.ts'
import { drop, manifestOf, openScene } from '../helpers.ts'
import { entryOf, settlementOf } from '../journal/helpers.ts'

/** As if each had been synced as it is now. */
function synced({ inbox }: StatePaths, ...names: string[]): Candidate[] {
  return names.map(name => {
    const stats = lstatSync(join(inbox, name), { bigint: true, throwIfNoEntry: false })
    return { name, announced: undefined, sealed: stats && identityOf(stats) }
  })
}

t.test('work/ without a journal is adopted under the sequences in its names', async t => {
  const { paths, journal, log } = openScene(t)
  const manifest = manifestOf('1 2\n', { disposable: true })
  drop(paths.work, workName(5_007, 'a'), '1 2\n', manifest)
  drop(paths.work, workName(5_003, 'b.x'), '3 4\n')
  drop(paths.work, 'foreign', 'x')
  drop(paths.work, '999999999999999.foreign', 'x')
  mkdirSync(join(paths.work, workName(5_001, 'directory')))
  journal.claim([])
  const adopted = await adoptWork(paths, journal, log)
  t.match(adopted, [
    { sequence: 5_003, name: 'b.x', expected: undefined, stage: 'claimed' },
    { sequence: 5_007, name: 'a', sizeBytes: 4, disposable: true, expected: { lines: 1 } },
  ])
  t.match(journal.queued(5_007), { name: 'a', stage: 'claimed' })
  t.equal(journal.nextSequence, 5_008, 'no sequence comes again')
  t.ok(log.warnedOf().includes('foreign'))
  t.ok(log.warnedOf().includes('999999999999999.foreign'))
  t.equal(readdirSync(paths.work).length, 6, 'everything stays')
  t.same(await adoptWork(paths, journal, log), [], 'once')
})

t.test('a file under a sequence that another has, or had, gets one of its own', async t => {
  const { paths, journal, log } = openScene(t)
  drop(paths.inbox, 'mine')
  await claimFiles(synced(paths, 'mine'), paths, journal)
  // As by a parser that was replaced and did not know it yet.
  drop(paths.work, workName(1_000, 'theirs'), '3 4\n', manifestOf('3 4\n', { lines: 9 }))
  const adopted = await adoptWork(paths, journal, log)
  t.match(adopted, [{ name: 'theirs', sequence: 1_001, expected: { lines: 9 } }])
  t.match(journal.queued(1_000), { name: 'mine' })
  t.match(journal.queued(1_001), { name: 'theirs', sizeBytes: 4 })
  t.same(
    readdirSync(paths.work).sort(),
    [
      workName(1_000, 'mine'),
      workName(1_001, 'theirs'),
      `${workName(1_001, 'theirs')}${MANIFEST_SUFFIX}`,
    ].sort(),
  )
  t.equal(readFileSync(join(paths.work, workName(1_001, 'theirs')), 'utf8'), '3 4\n')
  t.same(await adoptWork(paths, journal, log), [], 'once')

  const path = paths.journal
  await journal.close()
  const later = Journal.open(path, 1)
  t.teardown(() => later.close())
  drop(paths.work, workName(900, 'old'))
  t.match(
    await adoptWork(paths, later, log),
    [{ name: 'old', sequence: 1_002 }],
    'below what was ever committed: settled long ago, perhaps',
  )
  drop(paths.work, workName(1_003, 'new'))
  t.match(await adoptWork(paths, later, log), [{ name: 'new', sequence: 1_003 }])
})

t.test('two unknown files under one sequence are both adopted', async t => {
  const { paths, journal, log } = openScene(t)
  for (const name of ['a', 'b']) drop(paths.work, workName(5_000, name))
  const adopted = await adoptWork(paths, journal, log)
  t.same(adopted.map(({ name }) => name).sort(), ['a', 'b'])
  t.equal(new Set(adopted.map(({ sequence }) => sequence)).size, 2, 'each has a sequence')
  for (const { sequence, name } of adopted) {
    t.equal(journal.queued(sequence)?.name, name)
    t.ok(existsSync(join(paths.work, workName(sequence, name))))
  }
})

t.test(
  'a file that turns up while others are read gets a sequence that is still to be read',
  async t => {
    const { paths, journal, log } = openScene(t)
    drop(paths.inbox, 'a', '1 2\n', manifestOf('1 2\n'))
    await claimFiles(synced(paths, 'a'), paths, journal)
    journal.settle([settlementOf(journal.queued(1_000)!, 'quarantined')])
    journal.moved(1_000)
    journal.claim([])
    // Settled as missing, and now somebody has put work/ back.
    t.match(await adoptWork(paths, journal, log, true), [{ sequence: 1_001, name: 'a' }])
    drop(paths.work, workName(900, 'b'))
    t.match(await adoptWork(paths, journal, log, true), [{ sequence: 1_002, name: 'b' }])
    t.same(await adoptWork(paths, journal, log, true), [], 'once')
  },
)

t.test('after a deleted journal the same files are found again', async t => {
  const { paths, journal, log } = openScene(t)
  drop(paths.inbox, 'a', '1 2\n', manifestOf('1 2\n'))
  await claimFiles(synced(paths, 'a'), paths, journal)
  rmSync(paths.journal, { recursive: true })
  const fresh = Journal.open(paths.journal, 500)
  t.teardown(() => fresh.close())
  t.match(await adoptWork(paths, fresh, log), [{ sequence: 1_000, name: 'a' }])
})

t.test('a manifest that lost its data goes back to the inbox', async t => {
  const { paths, journal, log } = openScene(t)
  const stray = workName(7_000, 'a') + MANIFEST_SUFFIX
  const back = join(paths.inbox, `a${MANIFEST_SUFFIX}`)
  drop(paths.work, stray, 'the manifest')
  drop(paths.inbox, 'a')
  t.same(await adoptWork(paths, journal, log), [])
  t.equal(readFileSync(back, 'utf8'), 'the manifest')
  t.same(readdirSync(paths.work), [])
  drop(paths.work, stray, formatManifest(manifestOf('1 2\n')))
  await adoptWork(paths, journal, log)
  t.equal(readFileSync(back, 'utf8'), 'the manifest', 'a newer one in the inbox is kept')
  t.notOk(existsSync(join(paths.work, stray)), 'and one of ours is of no use any more')
  drop(paths.work, stray, "somebody's file")
  await adoptWork(paths, journal, log)
  t.equal(readFileSync(back, 'utf8'), 'the manifest')
  const beside = join(paths.inbox, `a.7000${MANIFEST_SUFFIX}`)
  t.equal(readFileSync(beside, 'utf8'), "somebody's file", 'what is none of ours is never deleted')
  t.same(readdirSync(paths.work), [])
  t.ok(journal.nextSequence > 7_000)
})

t.test('a parser that was replaced adopts nothing', async t => {
  const { paths, journal, log } = openScene(t)
  const stray = workName(7_000, 'a') + MANIFEST_SUFFIX
  drop(paths.work, stray, 'of a claim that is going on')
  const successor = Journal.open(paths.journal)
  t.teardown(() => successor.close())
  await t.rejects(adoptWork(paths, journal, log), { code: 'OWNERSHIP_LOST' })
  t.same(readdirSync(paths.work), [stray])
})

/** A file, or what stands in its place, under sequence 1,010. */
const FOUND: Record<Exclude<FoundInWork, 'foreign'>, (work: string) => string[]> = {
  data: work => {
    drop(work, workName(1_010, 'f'))
    return [workName(1_010, 'f')]
  },
  manifest: work => {
    drop(work, workName(1_010, 'f'), '1 2\n', manifestOf('1 2\n'))
    return [`${workName(1_010, 'f')}${MANIFEST_SUFFIX}`]
  },
  'lone manifest': work => {
    drop(work, `${workName(1_010, 'f')}${MANIFEST_SUFFIX}`, formatManifest(manifestOf('1 2\n')))
    return [`${workName(1_010, 'f')}${MANIFEST_SUFFIX}`]
  },
  'no file': work => {
    mkdirSync(join(work, workName(1_010, 'f')))
    return [workName(1_010, 'f')]
  },
}

/** A journal that knows that sequence so. */
const KNOWN: Record<KnownToJournal, (journal: Journal) => void> = {
  this: journal => journal.claim([entryOf(1_010, { name: 'f' })]),
  another: journal => journal.claim([entryOf(1_010, { name: 'other' })]),
  given: journal => journal.claim([entryOf(1_020, { name: 'later' })]),
  nothing: () => {},
}

t.test('every combination of what stands in work/ and what is known of it', async t => {
  let cells = 0
  for (const [found, row] of Object.entries(ADOPTION)) {
    for (const [known, adoption] of Object.entries(row)) {
      cells += 1
      const { paths, journal: before, log } = openScene(t)
      KNOWN[known as KnownToJournal](before)
      await before.close()
      const journal = Journal.open(paths.journal, 1_000)
      t.teardown(() => journal.close())
      const cell = `${found}, known as ${known}: ${adoption}`
      if (found === 'foreign') {
        // Without a sequence nothing is known by it.
        t.equal(adoption, known === 'nothing' ? 'tell' : REFUSED)
        continue
      }
      const [name = ''] = FOUND[found as keyof typeof FOUND](paths.work)
      const adopted = await adoptWork(paths, journal, log)
      const stays = existsSync(join(paths.work, name))
      const told = log.warnedOf().includes(name)
      const ofF = adopted.find(entry => entry.name === 'f')
      const seen =
        ofF !== undefined && !name.endsWith(MANIFEST_SUFFIX)
          ? ofF.sequence === 1_010
            ? 'adopt'
            : 'adopt anew'
          : !stays && existsSync(join(paths.inbox, `f${MANIFEST_SUFFIX}`))
            ? 'put back'
            : told
              ? 'tell'
              : 'leave'
      t.equal(seen, adoption, cell)
    }
  }
  t.equal(cells, 5 * 4)
})
