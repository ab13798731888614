import t, { type Test } from 'tap'
import { readConsumer } from '../../parser/ledger/proving/consumer-account.ts'
import { UNKNOWN_GENERATION } from '../../parser/ledger/schema/opening-balance.ts'
import { createTotals, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { U64_MAX } from '../../shared/limits.ts'
import { spawnDoomed, tinySite, wideFile } from '../crash/scene.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, seededFile, sha256Of, totalsOf } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { explained } from './explained.ts'

// What has moved a consumer's total.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(300_000)

/** What the postings of each consumer of these files make, and whether one of them is being counted. */
function accountsOf(site: Site, files: readonly DataFile[]) {
  return withSession(site, async session => {
    const accounts = new Map<bigint, { made: bigint; total: bigint; isOpen: boolean }>()
    for (const id of totalsOf(files).keys()) {
      await readConsumer(
        session,
        site.config,
        id,
        async ({ opening = 0n, total = 0n, postings }) => {
          let [made, isOpen] = [opening, false]
          for await (const { amount, isBatchOpen } of postings) {
            made += amount
            isOpen ||= isBatchOpen
          }
          accounts.set(id, { made, total, isOpen })
        },
      )
    }
    return accounts
  })
}

/** All is counted, and each total is what its postings make. */
async function assertExplained(t: Test, site: Site, files: readonly DataFile[]): Promise<void> {
  const expected = [...totalsOf(files)].map(([id, total]) => [
    id,
    { made: total, total, isOpen: false },
  ])
  t.strictSame([...(await accountsOf(site, files))], expected)
}

t.test('a consumer, posting by posting', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const files = [1, 2, 3].map(seed => seededFile(`file-${seed}`, seed, { consumers: 5 }))
  const wide = wideFile('wide', 4, { bytes: 4_000, consumers: 40 })
  const parser = await startParser(t, site)
  for (const [i, file] of [...files, wide].entries()) {
    drop(site.paths, [file])
    await parser.untilSettled(i + 1)
  }
  drop(site.paths, [{ ...files[0]!, name: 'again' }, dataFile('bad', '3 1\nwhat\n')], {
    manifest: false,
  })
  await parser.untilSettled(6)
  const { code, lines } = await explained(t, site, '--consumer', '3')
  t.equal(code, 0)
  let total = 0n
  const steps = files.map(file => {
    const amount = totalsOf([file]).get(3n) ?? 0n
    total += amount
    const sha256 = sha256Of(file.content)
    return {
      kind: 'posting',
      amount: `${amount}`,
      runningTotal: `${total}`,
      name: file.name,
      sha256,
    }
  })
  t.match(lines, [{ kind: 'opening', amount: '0' }, ...steps, { total: `${total}`, addsUp: true }])
  await assertExplained(t, site, [...files, wide])
  t.match(await explained(t, site, '--consumer', '999999'), { code: 1, last: { total: null } })

  const second = String(lines[2]?.time)
  const some = await explained(t, site, '--consumer', '3', '--since', second)
  const [before, after] = [
    { kind: 'before', postings: 1, runningTotal: steps[0]!.runningTotal },
    { kind: 'after', postings: 1, amount: steps[2]!.amount, runningTotal: `${total}` },
  ]
  t.match(some.lines, [{}, before, steps[1], steps[2], { addsUp: true }])
  const until = ['--until', String(lines[3]?.time)]
  const one = await explained(t, site, '--consumer', '3', '--since', second, ...until)
  t.match(one.lines, [{}, before, steps[1], after, { addsUp: true }])
  t.match(one.lines[0], { since: second, until: until[1] })
  const asked = ['--since', '2026-01-31', '--until', '2096-02-29T12:00+02:00']
  const { stdout } = await countersink(t, site, 'explain', '--consumer', '3', ...asked)
  const understood = 'from 2026-01-31 00:00:00.000 UTC on, before 2096-02-29 10:00:00.000 UTC'
  const [period, head = '', opening] = stdout.split('\n')
  t.equal(period, `One by one: postings ${understood}.`)
  t.equal(opening?.length, head.replace(/ {2}content.*/, '').length, 'each below its title')

  const n = ledgerNames(site.config)
  await withSession(site, session =>
    session.execute(`UPDATE ${n.totals} SET ${n.amount} = ${n.amount} + 9 WHERE ${n.id} = 3`),
  )
  const changed = await countersink(t, site, 'explain', '--consumer', '3')
  t.equal(changed.code, 1)
  t.match(
    changed.stdout,
    /the total is 9 more .* changed it, or the ledger lacks a file: "countersink verify"/,
  )
  await stopProgram(parser)
})

t.test(
  'a consumer while a batch is half counted, and half taken back',
  { buffered: true },
  async t => {
    const site = await tinySite(t, server)
    const first = seededFile('first', 1, { consumers: 60 })
    const open = wideFile('open', 5, { bytes: 8_000, consumers: 60 })
    const parser = await startParser(t, site)
    drop(site.paths, [first])
    await parser.untilSettled(1)
    await stopProgram(parser)
    drop(site.paths, [open])
    await (await spawnDoomed(t, site, 'P5-chunk-committed', { passing: 2 })).died()
    const ids = [...totalsOf([open]).keys()].sort((a, b) => (a < b ? -1 : 1))
    const accounts = await accountsOf(site, [open])
    for (const [id, { made, total }] of accounts) t.equal(made, total, `${id}`)
    const isOpen = (id: bigint | undefined) => accounts.get(id ?? 0n)?.isOpen
    t.same([isOpen(ids[0]), isOpen(ids[31]), isOpen(ids[32])], [true, true, false], 'two chunks')
    const { lines } = await explained(t, site, '--consumer', `${ids[0]}`)
    t.match(lines, [{}, {}, { beingCounted: true }, { addsUp: true }])

    const n = ledgerNames(site.config)
    const highest = ids.at(-1)!
    const raise = `INSERT INTO ${n.totals} VALUES (?, ?)`
    await withSession(site, session => session.execute(raise, [highest, U64_MAX]))
    await (await spawnDoomed(t, site, 'B2-chunk-taken-back')).died()
    const left = await accountsOf(site, [open])
    left.delete(highest)
    for (const [id, { made, total }] of left) t.equal(made, total, `${id}`)
    t.same(
      [left.get(ids[0]!)?.isOpen, left.get(ids[31]!)?.isOpen],
      [false, true],
      'one is taken back',
    )
    const drop1 = `DELETE FROM ${n.totals} WHERE ${n.id} = ?`
    await withSession(site, session => session.execute(drop1, [highest]))
    const next = await startParser(t, site)
    await next.untilSettled(2)
    await assertExplained(t, site, [first, open])
    await stopProgram(next)
  },
)

t.test('a consumer that had a total before', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const n = ledgerNames(site.config)
  await withSession(site, async session => {
    await session.execute(createTotals(n))
    await session.execute(`INSERT INTO ${n.totals} VALUES (3, 1000)`)
  })
  const early = await countersink(t, site, 'explain', '--consumer', '3')
  t.match(early, { code: 3, stderr: /no ledger/ })
  const parser = await startParser(t, site)
  drop(site.paths, [dataFile('a', '3 5\n')])
  await parser.untilSettled(1)
  t.match(await explained(t, site, '--consumer', '3'), {
    code: 0,
    lines: [{ amount: '1000' }, { amount: '5', runningTotal: '1005' }, { addsUp: true }],
  })
  // As a ledger has it that had counted before it kept sums, and was in the middle of that.
  await withSession(site, async session => {
    await session.execute(`UPDATE ${n.meta} SET opening_generation = ${UNKNOWN_GENERATION}`)
    await session.execute(`UPDATE ${n.file} SET pairs = NULL`)
    await session.execute(`UPDATE ${n.posting} SET folded = 1`)
    await session.execute(`DELETE FROM ${n.sums}`)
  })
  t.match((await explained(t, site, 'a')).last, {
    outcome: /consumers unknown, as it was counted before sums were kept/,
    ledger: { consumers: null, postings: [{ folded: true }] },
  })
  t.match(await explained(t, site, '--consumer', '3'), { code: 3, last: { addsUp: null } })
  const { stdout } = await countersink(t, site, 'explain', '--consumer', '3')
  t.match(stdout, /which leaves 1 005 for that/)
  await stopProgram(parser)
})
