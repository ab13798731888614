import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, generatedFiles } from '../helpers/invariants.ts'
import { pingParser, stopProgram } from '../helpers/parser.ts'
import { processesOf } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { pidOf, spawnUp, startUp } from '../helpers/up.ts'

// With its own private MariaDB, as a person starts it.
const SIZES = ['--file-size', '1MiB-2MiB'] as const

t.test('a number of files, one run after the other, also after a killed one', async t => {
  const site = await makeSite(t)
  const first = await spawnUp(t, site, '--files', '3', ...SIZES).ended
  t.match(first, { code: 0, stdout: /It adds up\.\n/ })
  t.match(
    first.stdout,
    /\n\nNext: countersink totals .*\n.* usage .*\n.* explain --consumer ID.*\n.* up --no-gen.*\n.* publish FILE .*\n$/,
  )
  t.equal(first.stdout.match(/^usage-\S+ .* applied /gm)?.length, 3, 'a row a file')
  assertPlain(t, first.stdout + first.stderr)
  t.same(processesOf(site.paths.dir), [], 'nothing is left running')

  const second = await spawnUp(t, site, '--files', '2', ...SIZES).ended
  t.match(second, { code: 0, stdout: /It adds up\.\n$/ }, 'what to try next was said once')
  t.equal(second.stdout.match(/^usage-\S+ .* applied /gm)?.length, 2, 'only its own files')
  await assertGenerated(t, site, 5)

  const killed = await startUp(t, site, ...SIZES)
  await eventually('it is in the middle of work', async () => {
    return ((await pingParser(site.paths))?.sinceStart.applied ?? 0) > 1
  })
  killed.signal('SIGKILL')
  await killed.ended
  await eventually('no orphans remain', () => processesOf(site.paths.dir).length === 0)

  const interrupted = spawnUp(t, site, '--files', '1000', ...SIZES)
  await eventually('it has begun', () => interrupted.output().includes('countersink in'))
  interrupted.signal('SIGINT')
  t.match(await interrupted.ended, { code: 130, stdout: /nothing was proved\n$/ })

  const third = await spawnUp(t, site, '--files', '1', ...SIZES).ended
  t.match(third, { code: 0, stdout: /It adds up\.\n/ })
  await assertGenerated(t, site)
})

t.test('one at a time, seen while it runs, and stopped in order', async t => {
  const site = await makeSite(t, undefined, { COUNTERSINK_RATE: '1MiB' })
  const up = await startUp(t, site, '--file-size', '256KiB')
  const generator = await pidOf(up, 'generator')
  const other = await countersink(t, site, 'up')
  t.equal(other.code, 3)
  t.match(other.stderr, new RegExp(`at work in ${site.paths.dir} already \\(pid ${up.pid}\\)`))
  t.match(await pingParser(site.paths), { state: 'running' }, 'the first one is unharmed')

  await eventually('two files are counted', async () => {
    return ((await pingParser(site.paths))?.ever.applied ?? 0) >= 2
  })
  const ping = await countersink(t, site, 'ping')
  t.match(ping, { code: 0, stdout: /^generator: healthy.*\nparser: healthy.*\n$/ })
  const { code, stdout } = await countersink(t, site, 'status', '--json')
  t.equal(code, 0)
  t.match(JSON.parse(stdout), {
    answeredBy: 'parser',
    supervisor: { state: 'running', pid: up.pid, uptimeSeconds: Number },
    generator: { state: String, pid: generator, uptimeSeconds: Number, restarts: 0 },
    parser: { state: 'running', pid: up.status()?.parser?.pid, uptimeSeconds: Number, restarts: 0 },
    queue: { files: Number, bytes: Number },
    database: { kind: 'private', state: 'ready', pid: up.status()?.mariadb?.pid, restarts: 0 },
    ever: { applied: Number, duplicate: 0, quarantined: 0, bytes: Number, lines: Number },
    lastProgressAt: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  })

  t.match(await stopProgram(up), { code: 0, stdout: /stopping in order \(SIGTERM\)/ })
  assertPlain(t, up.output())
  const log = (name: string): string => readFileSync(join(site.paths.log, `${name}.log`), 'utf8')
  const stoppedAt = (name: string): number => {
    const line = log(name)
      .split('\n')
      .find(text => text.endsWith(`${name} stopped`))
    return Date.parse(line?.split(' ')[0] ?? '')
  }
  t.ok(stoppedAt('generator') <= stoppedAt('parser'), 'the generator first, then the parser')
  t.match(log('mariadb'), /Shutdown complete/, 'and MariaDB in order')
  t.same(processesOf(site.paths.dir), [])

  const next = await spawnUp(t, site, '--files', '1', '--file-size', '256KiB').ended
  t.match(next, { code: 0, stdout: /It adds up\.\n/ }, 'what was in hand went on')
  await assertGenerated(t, site)
})

t.test('what cannot be started says why', async t => {
  const site = await makeSite(t)
  const bad = await countersink(t, site, 'up', '--files', 'many')
  t.match(bad, { code: 2, stderr: /--files must be a whole number .*"many"/ })
  t.match(await countersink(t, site, 'up', '--flies', '3'), {
    code: 2,
    stderr: /no option --flies; did you mean --files\?/,
  })
  const programs = { COUNTERSINK_MARIADBD: '/nowhere/mariadbd' }
  const without = await countersink(t, { ...site, env: { ...site.env, ...programs } }, 'up')
  t.match(without, { code: 3, stderr: /nowhere\/mariadbd, which cannot be run/ })
  t.same(processesOf(site.paths.dir), [])
})

t.test('an inbox of its own beside a generator', async t => {
  const site = await makeSite(t)
  const up = await startUp(t, site, '--no-generator')
  const file = seededFile('mine', 1)
  drop(site.paths, [file])
  await eventually('it is counted', async () => {
    return (await pingParser(site.paths))?.ever.applied === 1
  })
  t.match(await countersink(t, site, 'ping'), { code: 0, stdout: /^parser: healthy[^\n]*\n$/ })
  t.match(await stopProgram(up), { code: 0 })
  await assertEverythingAddsUp(t, site, [[file, 'applied']])
})

type Asserts = Parameters<typeof assertEverythingAddsUp>[0]

/** The archive holds all generated files; what they add up to is found without the program. */
async function assertGenerated(t: Asserts, site: Site, files?: number): Promise<void> {
  const generated = generatedFiles(site)
  t.equal(generated.length, files ?? generated.length, 'all files are in the archive')
  await assertEverythingAddsUp(
    t,
    site,
    generated.map((file): Fate => [file, 'applied']),
  )
}

function assertPlain(t: Asserts, output: string): void {
  t.notOk(output.includes('\u001b'), 'no escape codes when it is not a terminal')
}

t.test('stopped while it is still starting', async t => {
  const site = await makeSite(t)
  for (const part of ['nothing yet', 'mariadb', 'parser'] as const) {
    const up = spawnUp(t, site)
    await eventually(`${part} is up`, () => {
      if (part === 'nothing yet') return up.output().includes('countersink in')
      return up.status()?.[part]?.pid !== undefined
    })
    up.signal('SIGTERM')
    const { code, stdout } = await up.ended
    t.equal(code, 0, `with ${part}`)
    t.match(stdout, /^stopped/m)
    t.same(processesOf(site.paths.dir), [], 'nothing is left running')
  }
})
