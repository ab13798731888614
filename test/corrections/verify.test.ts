import { spawnSync } from 'node:child_process'
import { renameSync } from 'node:fs'
import t, { type Test } from 'tap'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { tinySite } from '../crash/scene.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { dataFile, drop } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { BUILT } from '../helpers/root.ts'
import type { Site } from '../helpers/state-dir.ts'

// The proof as a person asks for it: in words, as JSON, and by its exit status.

const server = await startDatabaseServer(t)
t.setTimeout(300_000)

async function verified(t: Test, site: Site, ...args: string[]) {
  const ended = await countersink(t, site, 'verify', ...args, '--json')
  const lines = jsonLines(ended)
  return { code: ended.code, lines, end: lines.at(-1) ?? {} }
}

t.test('it adds up, it does not, and it cannot be said', async t => {
  // Rows are taken out of the ledger: periods would miss them.
  const site = await tinySite(t, server, { COUNTERSINK_USAGE: 'off' })
  const n = ledgerNames(site.config)
  const sql = (...statements: string[]) =>
    withSession(site, async session => {
      for (const statement of statements) await session.execute(statement)
    })
  const early = await countersink(t, site, 'verify')
  t.equal(early.code, 3, 'nothing was begun')

  const parser = await startParser(t, site)
  drop(site.paths, [dataFile('a', '1 5\n2 7\n')])
  await parser.untilSettled(1)
  drop(site.paths, [dataFile('b', '2 1\n3 18446744073709551615\n')])
  await parser.untilSettled(2)
  const glance = await countersink(t, site, 'verify')
  t.match(glance, { code: 0, stdout: /\(2 files\)\nIt adds up, all together\./ })
  const full = await countersink(t, site, 'verify', '--full')
  t.match(full, { code: 0, stdout: /It adds up, consumer by consumer\.\n$/, stderr: /^$/ })
  const whole = { files: 2, totals: `${2n ** 64n + 12n}`, counted: `${2n ** 64n + 12n}` }
  t.match(await verified(t, site, '--full'), {
    code: 0,
    end: { full: true, addsUp: true, findings: 0, differences: 0, ...whole },
  })

  const change = (id: number, by: number) =>
    `UPDATE ${n.totals} SET ${n.amount} = ${n.amount} + ${by} WHERE ${n.id} = ${id}`
  await sql(change(1, 3), change(2, -3))
  t.equal((await countersink(t, site, 'verify')).code, 0, 'the sum is the same')
  t.match(await verified(t, site, '--full'), {
    code: 1,
    lines: [
      { kind: 'difference', id: '1', total: '8', expected: '5', difference: '3' },
      { kind: 'difference', id: '2', total: '5', expected: '8', difference: '-3' },
      { kind: 'end', addsUp: false, findings: 0, differences: 2 },
    ],
  })
  const told = await countersink(t, site, 'verify', '--full')
  t.equal(told.code, 1)
  t.match(told.stdout, /^1 +8 +5 +\+3\n2 +5 +8 +-3\n/m)
  t.match(told.stdout, /It does not add up\.\n$/)
  await sql(change(1, -3), change(2, 4))
  const raised = await countersink(t, site, 'verify')
  t.match(raised, { code: 1, stdout: /^totals: .*: 1 too much/ })
  await sql(change(2, -3))
  const lowered = await countersink(t, site, 'verify')
  t.match(lowered, { code: 1, stdout: /^totals: .*: 2 too little/ })
  await sql(change(2, 2))

  // A ledger that agrees with itself, and lacks what the journal knows to be counted.
  const which = `(SELECT sequence FROM ${n.file} WHERE name = 'a')`
  await sql(
    change(1, -5),
    change(2, -7),
    `DELETE b FROM ${n.batch} b JOIN ${n.posting} p ON p.batch_id = b.id WHERE p.file_sequence = ${which}`,
    `DELETE FROM ${n.posting} WHERE file_sequence = ${which}`,
    `DELETE FROM ${n.sums} WHERE file_sequence = ${which}`,
    `DELETE FROM ${n.file} WHERE name = 'a'`,
  )
  const without = { code: 1, lines: [{ check: 'journal', text: /is not there$/ }, { findings: 1 }] }
  t.match(await verified(t, site), without)
  await stopProgram(parser)
  t.match(await verified(t, site), without, 'without a parser the journal is read')
  const { stderr } = await countersink(t, site, 'verify')
  t.equal(stderr, '(the parser is not running: MariaDB is compared with its journal)\n')
  renameSync(site.paths.journal, `${site.paths.journal}.away`)
  const alone = await countersink(t, site, 'verify', '--full')
  t.match(alone, { code: 0, stderr: /no journal to compare with/, stdout: /\(1 file\)/ })

  // One who looks on sees how far it is, and nothing of that stays.
  const { dir } = site.paths
  const command = [
    process.execPath,
    `${BUILT}scripts/countersink.js`,
    'verify',
    '--full',
    '--dir',
    dir,
  ]
  const terminal = spawnSync('script', ['-qec', command.join(' '), '/dev/null'], {
    env: { PATH: process.env.PATH, HOME: dir, ...site.env },
    encoding: 'utf8',
  })
  t.equal(terminal.status, 0)
  const seen = terminal.stdout.replaceAll('\u001b', 'ESC ')
  t.match(seen, /\r *100 % of all totals looked at\rESC \[K/)

  await server.kill()
  t.match(await countersink(t, site, 'verify'), { code: 3, stderr: /^countersink verify: / })
  await server.start()
})
