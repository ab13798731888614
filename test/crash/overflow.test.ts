import t, { type Test } from 'tap'
import { U64_MAX } from '../../shared/limits.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, seededFile, totalsOf } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list, processedFiles } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import {
  applied,
  chunkedFile,
  Feeder,
  holdLedger,
  settleAll,
  tinySite,
  untilDigested,
} from './scene.ts'
import { batchesOf, waitInThirdChunk } from './sql.ts'

// Sums at the edge of what a pair and a total can hold, in batches of several files.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(600_000)

const opener = seededFile('a-opener', 1, { lines: 10, consumers: 3 })

/** The first is a batch alone while the others are read; those then make batches of up to three. */
async function applyTogether(t: Test, site: Site, files: readonly DataFile[]): Promise<void> {
  const hold = await holdLedger(t, site)
  const parser = await startParser(t, site)
  const { ever } = await parser.untilSettled(0)
  await new Feeder(t, site, [opener, ...files]).feed(parser)
  await untilDigested(site, parser)
  await hold.release()
  await parser.untilSettled(ever.applied + 1 + files.length)
  t.match(await stopProgram(parser), { code: 0 })
}

t.test('merged sums past 2^64: the batch is cut, all are counted', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  await withSession(site, session =>
    session.execute(
      `CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY,
         resource_consumption DECIMAL(38,0) NOT NULL) ENGINE=InnoDB`,
    ),
  )
  const files = [
    dataFile('b-most', `7000 ${U64_MAX}\n1 1\n`),
    dataFile('c-one-more', '7000 1\n2 5\n'),
    dataFile('d-other', '9 9\n'),
  ]
  await applyTogether(t, site, files)
  const sizes = (await batchesOf(site)).map(batch => Number(batch.files))
  t.same(sizes, [1, 1, 2], 'cut before the file that would pass it')
  await assertEverythingAddsUp(t, site, applied(opener, ...files))
})

const GUILTY: Readonly<Record<string, { files: DataFile[]; guilty: string; standsAt: bigint }>> = {
  'with the standing total': {
    files: [
      dataFile('b-good', '1 1\n7000 3\n'),
      dataFile('c-guilty', '5 5\n7000 100\n'),
      dataFile('d-good', '5 6\n7000 4\n'),
    ],
    guilty: 'c-guilty',
    standsAt: U64_MAX - 10n,
  },
  'only with an earlier file of the batch': {
    files: [
      dataFile('b-good', '7000 6\n'),
      dataFile('c-good', '7001 6\n'),
      dataFile('d-guilty', '7000 5\n'),
    ],
    guilty: 'd-guilty',
    standsAt: U64_MAX - 10n,
  },
}

for (const [what, { files, guilty, standsAt }] of Object.entries(GUILTY)) {
  t.test(`a total would overflow ${what}`, { buffered: true }, async t => {
    const site = await tinySite(t, server)
    const earlier = dataFile('0-earlier', `7000 ${standsAt}\n`)
    drop(site.paths, [earlier])
    await settleAll(t, site, 1)
    await applyTogether(t, site, files)
    const fates = files.map((file): Fate => {
      return [file, file.name === guilty ? 'quarantined' : 'applied']
    })
    await assertEverythingAddsUp(t, site, [...applied(earlier, opener), ...fates])
    const record = (await processedFiles(site)).find(({ name }) => name === guilty)
    t.match(record?.reason, /^TOTAL_OVERFLOW: consumer 7000 stands at \d+; adding \d+ would pass/)
  })
}

t.test('a foreign writer raises a total in mid-batch', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const [first, second] = [chunkedFile('a-first', 1), chunkedFile('b-second', 2)] as const
  const other = seededFile('c-other', 3)
  drop(site.paths, [first])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  const { foreign, ids } = await waitInThirdChunk(t, site, () => drop(site.paths, [second]))
  const id = ids[47]!
  const setTotal = (total: bigint | undefined) =>
    foreign.execute('UPDATE consumption SET resource_consumption = ? WHERE id = ?', [total, id])
  await setTotal(U64_MAX)
  await foreign.execute('COMMIT')

  // What was applied of it is taken back, and it is refused alone.
  drop(site.paths, [other])
  await parser.untilSettled(3)
  t.match(await batchesOf(site), [{ state: 'applied' }, { state: 'applied' }], 'its batch is gone')
  t.same(list(site.paths.quarantine).length, 2, 'with its reason')
  const record = (await processedFiles(site)).find(({ name }) => name === 'b-second')
  t.match(record?.reason, /^TOTAL_OVERFLOW: consumer \d+ stands at 18446744073709551615; adding/)
  t.match(jsonLines(await countersink(t, site, 'status', '--json'))[0], {
    parser: { reason: undefined },
  })

  // Mended and published again, it is counted from the sums that are there.
  await setTotal(totalsOf([first]).get(id))
  drop(site.paths, [{ ...second, name: 'd-second-again' }])
  await parser.untilSettled(4)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, [
    ...applied(first, other, { ...second, name: 'd-second-again' }),
    [second, 'quarantined'],
  ])
})
