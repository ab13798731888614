import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { holdLedger, journalledQueue, queueOf, untilDigested } from '../crash/scene.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, dataFile, drop, seededFile, sha256Of } from '../helpers/files.ts'
import { assertEverythingAddsUp, type Fate, list, processedFiles } from '../helpers/invariants.ts'
import { pingParser, spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'

// What is read is what was claimed, what is counted is what was read, and what comes later is told.

const server = await startDatabaseServer(t)

/** The file in work/ of this name. */
function inWork(site: Site, name: string): string {
  const found = list(site.paths.work).find(one => one.endsWith(`.${name}`))
  if (found === undefined) throw new Error(`${name} is not in work/`)
  return join(site.paths.work, found)
}

async function reasonsOf(site: Site): Promise<Map<string, string | undefined>> {
  return new Map((await processedFiles(site)).map(({ name, reason }) => [name, reason]))
}

function sidecarOf(site: Site, name: string): Record<string, unknown> {
  const found = list(site.paths.quarantine).find(
    one => /\.reason\.json$/.test(one) && one.startsWith(`${name}.`),
  )
  return JSON.parse(readFileSync(join(site.paths.quarantine, found ?? ''), 'utf8'))
}

t.test('a file that is not what was claimed is not counted as something else', async t => {
  const site = await makeSite(t, server)
  await server.kill()
  // Without a database it takes files and reads none.
  const parser = spawnParser(t, site)
  const text = '1 10\n2 20\n'
  /** What happens to each after its claim. */
  const changes: Readonly<Record<string, (path: string) => void>> = {
    emptied: path => truncateSync(path, 0),
    cut: path => truncateSync(path, 5),
    grown: path => appendFileSync(path, '3 30\n'),
    'written-over': path => writeFileSync(path, text.replace('10', '11')),
    'vouched-and-emptied': path => truncateSync(path, 0),
    'large-and-cut': path => truncateSync(path, 5_000),
    'replaced-by-its-like': path => {
      writeFileSync(`${path}.new`, readFileSync(path))
      renameSync(`${path}.new`, path)
    },
  }
  const fates: Fate[] = []
  for (const name of Object.keys(changes)) {
    const lines = name === 'large-and-cut' ? 20_000 : 50
    const filler = seededFile(name, fates.length + 50, { lines }).content
    const file = dataFile(name, Buffer.concat([Buffer.from(text), filler]))
    const neighbour = seededFile(`beside-${name}`, fates.length + 1)
    drop(site.paths, [neighbour], { manifest: false })
    drop(site.paths, [file], { manifest: /vouched|replaced/.test(name) })
    fates.push(
      [neighbour, 'applied'],
      [file, name === 'replaced-by-its-like' ? 'applied' : 'quarantined'],
    )
  }
  await eventually('all are claimed', async () => (await queueOf(site)).length === fates.length)
  const found = fates.map(([file, outcome]): Fate => {
    const change = changes[file.name]
    change?.(inWork(site, file.name))
    return [dataFile(file.name, readFileSync(inWork(site, file.name))), outcome]
  })
  await server.start()
  await eventually(
    'all are settled',
    async () => (await pingParser(site.paths))?.processed === fates.length,
  )
  await stopProgram(parser)
  await assertEverythingAddsUp(t, site, found)
  const reasons = await reasonsOf(site)
  for (const [name, reason] of [
    ['emptied', /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has 0$/],
    ['cut', /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has 5$/],
    ['grown', /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has \d+$/],
    ['written-over', /^CHANGED_AFTER_CLAIM: /],
    ['vouched-and-emptied', /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has 0$/],
    ['large-and-cut', /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has 5000$/],
  ] as const) {
    t.match(reasons.get(name), reason, name)
  }
  t.match(sidecarOf(site, 'emptied').whatNow, /changed after it had been taken/)
})

t.test('a hash that is known is compared when a file is read again', async t => {
  const site = await makeSite(t, server)
  const hold = await holdLedger(t, site)
  const first = await startParser(t, site)
  const good = seededFile('good', 1)
  const altered = dataFile('altered', '1 10\n2 20\n')
  drop(site.paths, [good, altered], { manifest: false })
  await eventually('both are claimed', async () => (await queueOf(site)).length === 2)
  await untilDigested(site, first)
  first.signal('SIGKILL')
  await first.ended
  await hold.release()
  const [entry] = (await journalledQueue(site)).filter(({ name }) => name === 'altered')
  const path = inWork(site, 'altered')
  writeFileSync(path, '1 11\n2 20\n')
  const seconds = Number(entry!.identity!.mtimeNs / 10n ** 9n)
  utimesSync(path, seconds, seconds)

  const next = await startParser(t, site)
  await next.untilSettled(2)
  await stopProgram(next)
  await assertEverythingAddsUp(t, site, [
    [good, 'applied'],
    [dataFile('altered', '1 11\n2 20\n'), 'quarantined'],
  ])
  const hash = sha256Of(altered.content)
  const reason = (await reasonsOf(site)).get('altered')
  t.match(reason, new RegExp(`^CHANGED_AFTER_CLAIM: its sha256 was ${hash}, now it is `))
  const checked = await countersink(t, site, 'check', hash)
  t.notMatch(checked.stdout, /waiting|on its way/, 'nobody claims the content it was any more')
})

t.test('what changed since it was read is not counted; afterwards the outcome stands', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_BATCH_FILES_MAX: '1' })
  const hold = await holdLedger(t, site)
  const parser = await startParser(t, site)
  const first = dataFile('first', '1 10\n')
  const second = dataFile('second', '2 20\n')
  const third = dataFile('third', '3 30\n')
  const copy = dataFile('copy', '1 10\n')
  for (const file of [first, second, third, copy]) {
    // Each of them claimed before the next: they are counted in this order.
    drop(site.paths, [file], { manifest: file === third })
    await eventually('it is claimed', async () =>
      (await queueOf(site)).some(({ name }) => name === file.name),
    )
  }
  await untilDigested(site, parser)
  // The first is on its way to the totals already, where the ledger holds it up.
  await eventually('the ledger is asked', () =>
    withSession(site, async session => {
      const waiting = await session.query(
        "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
      )
      return waiting.length > 0
    }),
  )
  for (const name of ['first', 'second', 'copy']) appendFileSync(inWork(site, name), '9 9\n')
  await hold.release()
  await parser.untilSettled(4)
  const health = await pingParser(site.paths)
  t.match(health?.grewAfterwards, {
    files: 1,
    newest: [{ name: 'first', change: /5 bytes were read, now it has 9/ }],
  })
  await eventually('the ledger knows', async () => (await sightings(site, 'grew')).length === 1)
  await stopProgram(parser)
  const reasons = await reasonsOf(site)
  for (const name of ['second', 'copy']) {
    t.match(reasons.get(name), /^CHANGED_AFTER_CLAIM: 5 bytes were read, now it has 9/, name)
  }
  t.match(await sightings(site, 'grew'), [
    { name: 'first', reason: /changed after it was counted/ },
  ])
  t.same((await totals(site)).stdout, '1\t10\n3\t30\n')
  t.match(parser.output(), /WARN parser a file changed after it was counted.* name=first/)
})

t.test('a writer that goes on after its file was archived is told of, once', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const content = '1 10\n2 20\n'
  const names = ['writer', 'quiet', 'again']
  const open = names.map(name => openSync(join(site.paths.inbox, `.${name}`), 'a'))
  for (const [i, name] of names.entries()) {
    writeSync(open[i]!, i === 2 ? content : `${content}${i} 5\n`)
    renameSync(join(site.paths.inbox, `.${name}`), join(site.paths.inbox, name))
  }
  await parser.untilSettled(3)
  const twin = dataFile('twin', content)
  const fd = openSync(join(site.paths.inbox, '.twin'), 'a')
  writeSync(fd, twin.content)
  renameSync(join(site.paths.inbox, '.twin'), join(site.paths.inbox, 'twin'))
  await parser.untilSettled(4)
  t.equal((await pingParser(site.paths))?.grewAfterwards, undefined)

  writeSync(open[0]!, '3 30\n')
  writeSync(open[0]!, '4 40\n')
  writeSync(fd, '5 50\n')
  const told = await eventually('both are told of', async () => {
    const health = await pingParser(site.paths)
    return health?.grewAfterwards?.files === 2 ? health.grewAfterwards : undefined
  })
  t.same(told.newest.map(({ name }) => name).sort(), ['twin', 'writer'])
  await eventually('the ledger knows', async () => (await sightings(site, 'grew')).length === 2)
  writeSync(open[0]!, '5 50\n')
  const status = await countersink(t, site, 'status')
  t.match(status.stdout, /^grew +2 changed after they were counted.*writer \(\d+ bytes were read/m)
  const json = JSON.parse((await countersink(t, site, 'status', '--json')).stdout)
  t.match(json.grewAfterwards, { files: 2, newest: [{ name: String, change: String }, {}] })
  await stopProgram(parser)
  const lines = parser.output().split('\n')
  t.equal(lines.filter(line => /changed after it was counted.*name=writer/.test(line)).length, 1)

  writeSync(open[1]!, '6 60\n')
  const next = await startParser(t, site)
  const again = await eventually('a restart finds them by their sizes', async () => {
    const health = await pingParser(site.paths)
    return health?.grewAfterwards?.files === 3 ? health.grewAfterwards : undefined
  })
  t.same(again.newest.map(({ name }) => name).sort(), ['quiet', 'twin', 'writer'])
  await stopProgram(next)
  for (const one of [...open, fd]) closeSync(one)
  t.equal((await totals(site)).stdout, '0\t5\n1\t35\n2\t60\n')
})

t.test('a manifest that is none of ours is kept beside what it came with', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const theirs: DataFile = seededFile('report', 1)
  drop(site.paths, [theirs], { manifest: '{"of":"somebody"}' })
  await parser.untilSettled(1)
  await stopProgram(parser)
  const kept = readdirSync(site.paths.quarantine).find(name => name.endsWith('.manifest.json'))
  t.equal(kept, `report.${sha256Of(theirs.content).slice(0, 16)}.manifest.json`)
  t.equal(readFileSync(join(site.paths.quarantine, kept ?? ''), 'utf8'), '{"of":"somebody"}')
  await assertEverythingAddsUp(t, site, [[theirs, 'quarantined']])
})

function totals(site: Site) {
  return countersink(t, site, 'totals')
}

function sightings(site: Site, outcome: string): Promise<{ name: string; reason: string }[]> {
  const { sighting } = ledgerNames(site.config)
  return withSession(site, session =>
    session.query(`SELECT name, reason FROM ${sighting} WHERE outcome = ?`, [outcome]),
  )
}
