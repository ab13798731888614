import { cpSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { archivedIn, assertEverythingAddsUp, list } from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeNeighbour, makeSite, type Site } from '../helpers/state-dir.ts'

// Whether a content was counted is the ledger's word. The journal may be older, or wrong.

const server = await startDatabaseServer(t)
t.setTimeout(300_000)

const [first, second, third] = [1, 2, 3].map(seed => seededFile(`file-${seed}`, seed)) as [
  ReturnType<typeof seededFile>,
  ReturnType<typeof seededFile>,
  ReturnType<typeof seededFile>,
]

function saved(site: Site): { restore(): void } {
  const copy = join(site.paths.dir, 'saved-journal')
  cpSync(site.paths.journal, copy, { recursive: true })
  return {
    restore() {
      rmSync(site.paths.journal, { recursive: true })
      renameSync(copy, site.paths.journal)
    },
  }
}

t.test('a journal that was restored denies nothing', async t => {
  const site = await makeSite(t, server)
  const bad = dataFile('file-bad', 'what\n')
  const again = { ...first, name: 'file-again' }
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  await stopProgram(parser)
  const backup = saved(site)
  const next = await startParser(t, site)
  drop(site.paths, [second, again])
  drop(site.paths, [bad], { manifest: false })
  await next.untilSettled(4)
  await stopProgram(next)
  backup.restore()

  const sha256 = sha256Of(second.content)
  const check = () => countersink(t, site, 'check', sha256)
  const names = async () =>
    jsonLines(await countersink(t, site, 'hashes', '--limit', '0', '--json')).map(one => one.name)
  t.match(await check(), { code: 0, stdout: /counted .* as file-2/ }, 'while nothing runs')
  t.same(await names(), ['file-2', 'file-1'])

  const late = await startParser(t, site)
  await eventually('it has caught up', async () => (await names()).includes('file-2'))
  t.match(late.output(), /WARN parser the journal is older than the ledger/)
  t.match(await check(), { code: 0, stdout: /counted .* as file-2/ })
  drop(site.paths, [third])
  await eventually('it counts on', async () => (await names()).includes('file-3'))
  await stopProgram(late)
  const { file, sighting } = ledgerNames(site.config)
  const used = await withSession(site, session =>
    session.query<{ times: bigint }>(
      `SELECT COUNT(*) AS times FROM (SELECT instance, work_sequence FROM ${file}
        UNION ALL SELECT instance, work_sequence FROM ${sighting}) AS used
        GROUP BY instance, work_sequence`,
    ),
  )
  t.same(
    used.map(({ times }) => times),
    [1n, 1n, 1n, 1n, 1n],
    'no sequence is given a second time',
  )
})

t.test('a journal saved while files were on their way', async t => {
  const site = await makeSite(t, server)
  const bad = dataFile('file-bad', 'what\n')
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  await server.kill()
  drop(site.paths, [second])
  drop(site.paths, [bad], { manifest: false })
  await eventually('they are claimed', async () => {
    const health = await pingParser(site.paths)
    return health?.queue.files === 2 && health.database === 'unavailable'
  })
  parser.signal('SIGKILL')
  await parser.ended
  const backup = saved(site)
  await server.start()
  const next = await startParser(t, site)
  await next.untilSettled(3)
  await stopProgram(next)
  backup.restore()
  const late = await startParser(t, site)
  await late.untilSettled(3)
  await stopProgram(late)
  await assertEverythingAddsUp(t, site, [
    [first, 'applied'],
    [second, 'applied'],
    [bad, 'quarantined'],
  ])
})

t.test('a duplicate is one only if the ledger has the content', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  drop(site.paths, [second])
  await parser.untilSettled(2)
  const { file } = ledgerNames(site.config)
  // Under a connection that stays, and not the newest: nothing else would notice it.
  await withSession(site, session =>
    session.execute(`DELETE FROM ${file} WHERE sha256 = ?`, [
      Buffer.from(sha256Of(first.content), 'hex'),
    ]),
  )
  const again = ['x', 'y'].map(name => ({ ...first, name }))
  drop(site.paths, [...again, { ...second, name: 'z' }])
  await parser.untilSettled(5)
  t.match(parser.output(), /the journal calls a content counted that the ledger does not have/)
  const told = (names: readonly string[]): string => names.map(name => name.split('.')[0]).join(' ')
  t.match(told(archivedIn(site.paths.archive)), /^file-1 file-2 [xy]$/, 'one of them is counted')
  t.match(told(list(site.paths.duplicate)), /^[xy] z$/)
  await stopProgram(parser)
})

t.test('only its parser opens a journal', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  // Neither found at its socket, nor able to listen there again.
  parser.signal('SIGSTOP')
  const aside = `${site.paths.parserSocket}.aside`
  renameSync(site.paths.parserSocket, aside)
  const unanswered = {
    code: 3,
    stderr: /a parser is at work on the journal, but does not answer/,
  }
  const check = (file: { content: Buffer }) => countersink(t, site, 'check', sha256Of(file.content))
  t.match(await countersink(t, site, 'hashes'), unanswered)
  t.match(await check(second), unanswered, 'nothing is denied')
  t.match(await check(first), { code: 0, stdout: /counted/ }, 'MariaDB knows')
  const status = await countersink(t, site, 'status')
  t.match(status, { code: 0, stdout: /parser +stopped(.|\n)*journal is locked by whoever has it/ })
  renameSync(aside, site.paths.parserSocket)
  parser.signal('SIGCONT')
  t.match(await countersink(t, site, 'hashes'), { code: 0, stdout: /file-1/ })
  await stopProgram(parser)
})

t.test('while MariaDB cannot be asked nothing is denied', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  await server.kill()
  const check = (file: { content: Buffer }) => countersink(t, site, 'check', sha256Of(file.content))
  const unknown = {
    code: 3,
    stderr: /whether \w+ is counted cannot be known, as MariaDB cannot be asked(.|\n)*never seen"/,
  }
  t.match(await check(first), { code: 0, stdout: /counted/ })
  t.match(await check(second), unknown)
  const json = await countersink(t, site, 'check', '--json', sha256Of(second.content))
  t.match(JSON.parse(json.stdout), { error: { code: 'DATABASE_UNAVAILABLE' } })
  parser.signal('SIGKILL')
  await parser.ended
  t.match(await check(first), { code: 0, stdout: /counted/ }, 'also without a parser')
  t.match(await check(second), unknown)
  t.match(await countersink(t, site, 'hashes'), { code: 0, stderr: /cannot be asked whether/ })
  await server.start()
  t.match(await check(second), { code: 1, stdout: /never seen/ })
})

t.test('what another parser has refused is no content that was never seen', async t => {
  const site = await makeSite(t, server)
  const neighbour = await makeNeighbour(t, site)
  const bad = dataFile('file-bad', 'what\n')
  const there = await startParser(t, neighbour)
  drop(neighbour.paths, [bad], { manifest: false })
  await there.untilSettled(1)
  await stopProgram(there)
  const here = await startParser(t, site)
  const ask = (command: string) => countersink(t, site, command, sha256Of(bad.content))
  const refused = { code: 1, stdout: /not counted: quarantined .* as file-bad: ID_NOT_DIGITS/ }
  t.match(await ask('check'), refused)
  t.match(await ask('explain'), { code: 0, stdout: /not counted: quarantined: ID_NOT_DIGITS/ })
  await stopProgram(here)
  t.match(await ask('check'), refused, 'also without a parser')
})
