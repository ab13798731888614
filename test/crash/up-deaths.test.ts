import t from 'tap'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, generatedFiles } from '../helpers/invariants.ts'
import { pingParser, stopProgram, untilSettled } from '../helpers/parser.ts'
import { killProcess } from '../helpers/processes.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { pidOf, startUp } from '../helpers/up.ts'

t.test('MariaDB, generator and parser killed in mid-stream, each is started again', async t => {
  const site = await makeSite(t, undefined, { COUNTERSINK_RATE: '3MiB' })
  const up = await startUp(t, site, '--files', '12', '--file-size', '1MiB-2MiB')
  for (const child of ['generator', 'parser', 'mariadb'] as const) {
    const pid = await pidOf(up, child)
    const before = await eventually('the parser answers', () => pingParser(site.paths))
    killProcess(pid)
    await pidOf(up, child, pid)
    await eventually(`work went on without ${child} ${pid}`, async () => {
      if (!up.isRunning()) return true
      const after = await pingParser(site.paths)
      return after?.database === 'ready' && after.ever.applied > before.ever.applied
    })
  }
  const { code, stdout } = await up.ended
  t.equal(code, 0)
  t.match(stdout, /It adds up\.\n/)
  t.match(stdout, /the generator was ended by SIGKILL; it is started again at once/)
  t.match(stdout, /the parser was ended by SIGKILL; it is started again at once/)
  t.match(stdout, /MariaDB ended \(SIGKILL\); it is started again/)
  await assertGenerated(t, site, 12)
})

t.test('MariaDB killed while files of others are applied', async t => {
  // Many chunks a file: the kill finds a transaction open.
  const site = await makeSite(t, undefined, { COUNTERSINK_CHUNK_PAIRS_MAX: '50' })
  const up = await startUp(t, site, '--no-generator')
  const shape = { lines: 30_000, consumers: 20_000 }
  const files = Array.from({ length: 6 }, (_, i) => seededFile(`file-${i}`, i, shape))
  drop(site.paths, files)
  await eventually('it is at work', async () => {
    return ((await pingParser(site.paths))?.ever.applied ?? 0) > 0
  })
  const parser = await pidOf(up, 'parser')
  killProcess(await pidOf(up, 'mariadb'))
  const { pid } = await untilSettled(site, files.length)
  t.equal(pid, parser, 'the parser has waited for it')
  t.match(up.output(), /MariaDB ended \(SIGKILL\); it is started again/)
  t.match(await stopProgram(up), { code: 0 })
  await assertEverythingAddsUp(
    t,
    site,
    files.map(file => [file, 'applied']),
  )
})

t.test('a parser that hangs is killed and started again', async t => {
  const site = await makeSite(t, undefined, { COUNTERSINK_RATE: '4MiB' })
  const up = await startUp(t, site, '--files', '4', '--file-size', '1MiB')
  const pid = await pidOf(up, 'parser')
  killProcess(pid, 'SIGSTOP')
  await pidOf(up, 'parser', pid)
  const { code, stdout } = await up.ended
  t.equal(code, 0)
  t.match(stdout, /It adds up\.\n/)
  await assertGenerated(t, site, 4)
})

/** The archive holds all generated files; what they add up to is found without the program. */
async function assertGenerated(
  t: Parameters<typeof assertEverythingAddsUp>[0],
  site: Site,
  files: number,
): Promise<void> {
  const generated = generatedFiles(site)
  t.equal(generated.length, files)
  await assertEverythingAddsUp(
    t,
    site,
    generated.map((file): Fate => [file, 'applied']),
  )
}
