import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { rejectsName, settledName } from '../../shared/paths.ts'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import {
  type DataFile,
  dataFile,
  drop,
  manifestOf,
  seededFile,
  sha256Of,
} from '../helpers/files.ts'
import {
  archivedIn,
  assertEverythingAddsUp,
  type Fate,
  list,
  nameInPlace,
  processedFiles,
} from '../helpers/invariants.ts'
import { pingParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeNeighbour, makeSite, type Site } from '../helpers/state-dir.ts'

// A name that comes again with other content: counted, or held until a person decides.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(120_000)

const HOLD = { COUNTERSINK_SAME_NAME: 'hold' }
const first = seededFile('day', 1)
const second = seededFile('day', 2)
const third = seededFile('day', 3)
const other = seededFile('other', 4)

function hashOf({ content }: DataFile): string {
  return sha256Of(content)
}

function places({ paths }: Site, file: DataFile): string[] {
  const name = settledName(file.name, Buffer.from(hashOf(file), 'hex'))
  const { archive, held, quarantine, reverted, duplicate } = paths
  const isArchived = archivedIn(archive).includes(nameInPlace(file.name, file.content, 'applied'))
  const others = Object.entries({ held, quarantine, reverted, duplicate }).flatMap(
    ([place, directory]) => (list(directory).includes(name) ? [place] : []),
  )
  return isArchived ? ['archive', ...others] : others
}

/** `day` counted, the same name held with other content, twice; nothing waits for that. */
async function scene(t: Test, env: Record<string, string> = {}) {
  const site = await makeSite(t, server, { ...HOLD, ...env })
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  drop(site.paths, [second])
  await parser.untilSettled(2)
  drop(site.paths, [third, other])
  await parser.untilSettled(4)
  const endWith = async (...fates: Fate[]): Promise<void> => {
    await stopProgram(parser)
    await assertEverythingAddsUp(t, site, fates)
  }
  const untilIn = (place: string, file: DataFile) =>
    eventually(`${hashOf(file).slice(0, 8)} is in ${place}/`, () => {
      return places(site, file).join() === place
    })
  return { site, parser, endWith, untilIn }
}

t.test('held: said, and nothing waits for it', async t => {
  const { site, endWith } = await scene(t)
  const where = () => [first, second, third, other].flatMap(file => places(site, file))
  await eventually('each is where it belongs', () => where().join() === 'archive,held,held,archive')
  const name = settledName('day', Buffer.from(hashOf(second), 'hex'))
  const sidecar = JSON.parse(readFileSync(join(site.paths.held, `${name}.reason.json`), 'utf8'))
  t.match(sidecar, { name: 'day', sha256: hashOf(second), code: 'HELD', heldAt: /Z$/ })
  t.match(sidecar.reason, `the name day came before with other content, ${hashOf(first)}`)
  t.match(sidecar.whatNow, `countersink release ${hashOf(second)}`)
  const health = await eventually('the pong tells', async () => {
    const { held, queue } = (await pingParser(site.paths)) ?? {}
    return held?.files === 2 && queue?.files === 0 ? held : undefined
  })
  t.same(health.first.map(({ sha256 }) => sha256).sort(), [second, third].map(hashOf).sort())
  const [status] = jsonLines(await countersink(t, site, 'status', '--json'))
  t.match(status, { held: { files: 2, first: [{ name: 'day' }, {}] }, sinceStart: { held: 2 } })
  const said = await countersink(t, site, 'status')
  t.match(said.stdout, /held {8}2 held until "countersink release"/)
  const [checked] = jsonLines(await countersink(t, site, 'check', hashOf(second), '--json'))
  t.match(checked, { counted: false, state: 'held', file: { outcome: 'held', name: 'day' } })
  t.match((await countersink(t, site, 'check', hashOf(second))).stdout, /held since .* as day/)
  const [explained] = jsonLines(await countersink(t, site, 'explain', hashOf(second), '--json'))
  t.match(explained, { counted: false, ledger: { state: 'held' }, path: /held\/day/ })
  t.match(explained?.outcome, /it is held until "countersink release"/)
  const listed = jsonLines(await countersink(t, site, 'hashes', '--outcome', 'held', '--json'))
  t.same(listed.map(({ sha256 }) => sha256).sort(), [second, third].map(hashOf).sort())
  t.equal((await countersink(t, site, 'verify', '--full')).code, 0)
  await endWith([first, 'applied'], [second, 'held'], [third, 'held'], [other, 'applied'])
})

t.test('released: counted, in the archive, and like any other from then on', async t => {
  const { site, untilIn } = await scene(t)
  const hash = hashOf(second)
  const released = await countersink(t, site, 'release', hash.slice(0, 12))
  t.match(released, { code: 0, stdout: /^is counted: day \(/ })
  await untilIn('archive', second)
  t.equal((await countersink(t, site, 'release', hash)).code, 0, 'asked again it is done')
  t.match(await countersink(t, site, 'refuse', hash), { code: 1, stdout: /cannot be refused/ })
  t.equal((await countersink(t, site, 'undo', hash)).code, 0)
  await untilIn('reverted', second)
  t.equal((await countersink(t, site, 'redo', hash)).code, 0)
  await untilIn('archive', second)
  await eventually('the history says so', async () => {
    const files = await processedFiles(site)
    return files.find(({ sha256 }) => sha256 === hash)?.outcome === 'applied'
  })
  t.same(list(site.paths.held).length, 2, 'only the other one is held, with its sidecar')
  t.equal((await countersink(t, site, 'verify', '--full')).code, 0)
})

t.test('refused: in quarantine, with the reason; published again it is held again', async t => {
  const { site, parser, untilIn } = await scene(t)
  const hash = hashOf(second)
  const refused = await countersink(t, site, 'refuse', hash, '--reason', 'sent twice')
  t.match(refused, { code: 0, stdout: /^is not counted: day \(/ })
  await untilIn('quarantine', second)
  const name = settledName('day', Buffer.from(hash, 'hex'))
  const sidecar = readFileSync(join(site.paths.quarantine, `${name}.reason.json`), 'utf8')
  t.match(JSON.parse(sidecar), {
    name: 'day',
    sha256: hash,
    code: 'HELD',
    reason: 'HELD: sent twice',
  })
  t.match(await countersink(t, site, 'check', hash), { code: 1, stdout: /HELD: sent twice/ })
  drop(site.paths, [second])
  await parser.untilSettled(5)
  await eventually('it is held again', () => places(site, second).includes('held'))
  t.equal((await countersink(t, site, 'refuse', hash)).code, 0, 'another order than the first')
  await eventually('it is in quarantine twice', () => places(site, second).join() === 'quarantine')
  drop(site.paths, [second])
  await parser.untilSettled(6)
  t.equal((await countersink(t, site, 'release', hash)).code, 0)
  await eventually('it is in the archive', () => places(site, second).includes('archive'))
  t.equal((await countersink(t, site, 'verify', '--full')).code, 0)
})

t.test('published again while it is held: it says so, and goes along', async t => {
  const { site, parser, untilIn } = await scene(t)
  drop(site.paths, [second])
  await parser.untilSettled(5)
  const again = { name: 'again', content: second.content }
  drop(site.paths, [again])
  await parser.untilSettled(6)
  t.match((await processedFiles(site)).slice(-1), [
    { outcome: 'held', reason: 'its content is held, as day' },
  ])
  t.equal((await countersink(t, site, 'release', hashOf(second))).code, 0)
  await untilIn('duplicate', again)
  await eventually('it is in the archive', () => places(site, second).includes('archive'))
  t.equal(list(site.paths.held).length, 2, 'only the third is held, with its sidecar')
})

t.test('without its bad lines: they are kept until it is counted', async t => {
  const site = await makeSite(t, server, { ...HOLD, COUNTERSINK_REJECT_LINES: '1' })
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  const some = dataFile('day', '1 1\nx\n2 2\n')
  const hash = hashOf(some)
  const told = { lines: 3, amount: '3' }
  drop(site.paths, [some], { manifest: manifestOf(some.content, told) })
  await parser.untilSettled(2)
  const kept = [rejectsName('day', Buffer.from(hash, 'hex'))]
  t.same(list(site.paths.rejects), kept)
  drop(site.paths, [some], { manifest: manifestOf(some.content, { ...told, rejectLines: '0' }) })
  await parser.untilSettled(3)
  t.match(
    (await processedFiles(site)).slice(-2),
    [
      { outcome: 'held', rejectedLines: 1 },
      { outcome: 'held', reason: 'its content is held, as day' },
    ],
    'also where no bad line may be',
  )
  t.equal((await countersink(t, site, 'release', hash)).code, 0)
  await eventually('it is in the archive', () => places(site, some).includes('archive'))
  t.same(list(site.paths.rejects), kept)
  t.match(await countersink(t, site, 'rejects', hash), { code: 0, stdout: /line 2, offset 4: / })
  const verified = await countersink(t, site, 'verify', '--full', '--json')
  t.equal(verified.code, 0)
  t.match(jsonLines(verified).at(-1), { files: 2, rejectedLines: 1 })
})

t.test('two contents of a name in one look: the first is counted', async t => {
  const site = await makeSite(t, server, HOLD)
  const published = [first, second, third].map(({ content }) =>
    dataFile(`day-${sha256Of(content).slice(0, 12)}`, content),
  )
  drop(site.paths, published)
  const parser = await startParser(t, site)
  await parser.untilSettled(3)
  await stopProgram(parser)
  const outcomes = (await processedFiles(site)).map(({ outcome }) => outcome)
  t.same(outcomes.sort(), ['applied', 'held', 'held'])
  t.equal((await countersink(t, site, 'verify', '--full')).code, 0)
})

t.test('counted by another parser: held here', async t => {
  const site = await makeSite(t, server, HOLD)
  const parser = await startParser(t, site)
  drop(site.paths, [first])
  await parser.untilSettled(1)
  const neighbour = await makeNeighbour(t, site)
  const elsewhere = await startParser(t, neighbour)
  drop(neighbour.paths, [second])
  await elsewhere.untilSettled(1)
  await eventually('it is held', () => places(neighbour, second).join() === 'held')
  t.equal((await countersink(t, site, 'release', hashOf(second))).code, 0)
  await eventually('it is in the archive', () => places(neighbour, second).join() === 'archive')
  await stopProgram(elsewhere)
  await stopProgram(parser)
})

for (const [policy, notices] of [
  ['warn', 1],
  ['accept', 0],
] as const) {
  t.test(`${policy}: counted, and told of ${notices === 1 ? 'once' : 'nowhere'}`, async t => {
    const site = await makeSite(t, server, { COUNTERSINK_SAME_NAME: policy })
    const parser = await startParser(t, site)
    drop(site.paths, [first])
    await parser.untilSettled(1)
    drop(site.paths, [second])
    await parser.untilSettled(2)
    await eventually('it is told', async () => {
      return ((await pingParser(site.paths))?.sameNames?.files ?? 0) === notices
    })
    const { stderr } = await stopProgram(parser)
    t.equal(stderr.split('SAME_NAME').length - 1, notices)
    await assertEverythingAddsUp(t, site, [
      [first, 'applied'],
      [second, 'applied'],
    ])
  })
}
