import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { backUp, cutConnections, openForeign } from '../crash/sql.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

// What a person sees when the database refuses a file, stands still, or is not the one any more.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(300_000)

const first = seededFile('a-first', 1)

async function statusOf(t: Parameters<typeof countersink>[0], site: Site): Promise<string> {
  return (await countersink(t, site, 'status')).stdout
}

t.test('one file with a row that the server refuses', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  const foreign = await openForeign(t, site)
  await foreign.execute('ALTER TABLE consumption ADD CONSTRAINT quota CHECK (id < 900)')
  const others = Array.from({ length: 20 }, (_, i) => seededFile(`b-${i}`, 10 + i))
  const poison = dataFile('c-poison', '5 1\n901 1\n902 1\n')
  drop(site.paths, [...others.slice(0, 10), poison, ...others.slice(10)])
  await parser.untilSettled(22)
  await stopProgram(parser)
  const [sidecar = ''] = list(site.paths.quarantine).filter(name => name.endsWith('.reason.json'))
  t.match(JSON.parse(readFileSync(join(site.paths.quarantine, sidecar), 'utf8')), {
    name: 'c-poison',
    reason: /^TOTAL_REFUSED: MariaDB refuses the row of consumer 901: a CHECK refuses it \(4025: /,
  })
  await assertEverythingAddsUp(t, site, [
    [first, 'applied'],
    ...others.map(file => [file, 'applied'] as const),
    [poison, 'quarantined'],
  ])
})

t.test(
  'a statement that waits for somebody is told, and waited for',
  { buffered: true },
  async t => {
    const site = await makeSite(t, server)
    const parser = await startParser(t, site)
    drop(site.paths, [first])
    await parser.untilSettled(1)
    const foreign = await openForeign(t, site)
    await foreign.execute('LOCK TABLES consumption READ')
    const second = seededFile('b-second', 2)
    drop(site.paths, [second])
    const text = await eventually('it is told', async () => {
      const text = await statusOf(t, site)
      return /database +ready.*a statement/.test(text) ? text : undefined
    })
    t.match(text, /a statement has waited for \d+ s: Waiting for table metadata lock/)
    t.match(jsonLines(await countersink(t, site, 'status', '--json'))[0], {
      database: { statement: { ageSeconds: Number, waitsFor: /metadata lock/ } },
    })
    await foreign.execute('UNLOCK TABLES')
    await parser.untilSettled(2)
    t.notMatch(await statusOf(t, site), /statement/)
    await stopProgram(parser)
  },
)

t.test('an older database under a running parser', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  const backup = await backUp(site)
  const second = seededFile('b-second', 2)
  drop(site.paths, [second])
  await parser.untilSettled(2)
  await backup.restore()
  await cutConnections(site)
  const late = seededFile('c-late', 3)
  drop(site.paths, [late])
  await eventually('it is paused', async () => {
    const health = await pingParser(site.paths)
    return health?.state === 'paused' && health.database === 'unfit' && health.queue.files === 1
  })
  const text = await statusOf(t, site)
  t.match(text, /parser +paused.*LEDGER_BEHIND/)
  t.match(text, /database +unfit \(yours, mariadb:.*was counted, is not there.*countersink recover/)
  t.match(await countersink(t, site, 'ping', 'parser'), { code: 0, stdout: /alive, not ready/ })
  const ready = await countersink(t, site, 'ping', 'parser', '--ready')
  t.match(ready, { code: 3, stdout: /LEDGER_BEHIND/ })
  t.match(await countersink(t, site, 'check', sha256Of(second.content)), { code: 0 })
  t.match(await stopProgram(parser), { code: 0 })
  t.match(await countersink(t, site, 'check', sha256Of(second.content)), {
    code: 1,
    stdout: /not counted: the journal has it as b-second.*ledger does not/,
  })
  t.match(await countersink(t, site, 'recover'), { code: 0, stdout: /1 went back to the inbox/ })
  const next = await startParser(t, site)
  await next.untilSettled(3)
  await stopProgram(next)
  await assertEverythingAddsUp(t, site, [
    [first, 'applied'],
    [second, 'applied'],
    [late, 'applied'],
  ])
})

t.test('a name that comes again with other content', { buffered: true }, async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [dataFile('day.txt', '1 100\n')])
  await parser.untilSettled(1)
  t.notMatch(await statusOf(t, site), /same name/)
  drop(site.paths, [dataFile('day.txt', '1 100\n2 200\n')], { manifest: false })
  await parser.untilSettled(2)
  await eventually('it is told', () =>
    /WARN parser the same name was counted before with other content.*day/.test(parser.output()),
  )
  t.match(await statusOf(t, site), /same name +1 came with other content.*day\.txt \(2 contents\)/)
  await stopProgram(parser)
})
