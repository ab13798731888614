import t from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { type DataFile, drop, seededFile } from '../helpers/files.ts'
import { assertEverythingAddsUp } from '../helpers/invariants.ts'
import { type RunningParser, startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { type Mischief, startProxy } from './proxy.ts'
import { applied, COMMITS, chunkedFile, NO_USAGE, tinySite, untilAgreed } from './scene.ts'
import { batchesOf, type Trouble, waitInThirdChunk } from './sql.ts'

// What a connection, a lock or the server can do in the middle of a batch.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

t.test('the answer to a COMMIT is lost', { buffered: true }, async t => {
  const site = await tinySite(t, server, NO_USAGE)
  const proxy = await startProxy(t, site)
  const parser = await startParser(t, site, proxy.env)
  await untilAgreed(site)
  const files: DataFile[] = []
  for (const [where, nth] of Object.entries(COMMITS)) {
    for (const mischief of ['cut before', 'cut after'] satisfies Mischief[]) {
      const file = chunkedFile(`${mischief}-${nth}`.replace(' ', '-'), files.length + 1)
      files.push(file)
      proxy.arm(mischief, nth)
      drop(site.paths, [file])
      await parser.untilSettled(files.length)
      t.equal(proxy.done, files.length, `${mischief} the COMMIT of ${where}`)
    }
  }
  // A batch of one chunk has only one.
  for (const mischief of ['cut before', 'cut after'] satisfies Mischief[]) {
    const file = seededFile(`one-chunk-${mischief.slice(4)}`, 50 + files.length, { consumers: 10 })
    files.push(file)
    proxy.arm(mischief)
    drop(site.paths, [file])
    await parser.untilSettled(files.length)
    t.equal(proxy.done, files.length, `${mischief} the only COMMIT`)
  }
  t.match(await stopProgram(parser), { code: 0 })
  t.equal((await batchesOf(site)).length, files.length, 'nothing was begun twice')
  await assertEverythingAddsUp(t, site, applied(...files))
})

/** What is done to a batch while it waits for a row of its third chunk. */
const TROUBLES: Readonly<Record<string, (trouble: Trouble) => Promise<RegExp | undefined>>> = {
  'a lock is held for a while': async ({ foreign }) => {
    await foreign.rollback()
    return undefined
  },
  'a deadlock': async ({ foreign, ids }) => {
    // Its row is locked by the batch, which closes the circle. Who has changed less gives way.
    await foreign.execute('UPDATE consumption SET resource_consumption = 1 WHERE id = ?', [ids[32]])
    await foreign.rollback()
    return /Deadlock found/
  },
  'the query is killed': async ({ foreign, waiting }) => {
    await foreign.execute(`KILL QUERY ${waiting}`)
    await foreign.rollback()
    return /Query execution was interrupted/
  },
  'the connection is killed': async ({ foreign, waiting }) => {
    await foreign.execute(`KILL CONNECTION ${waiting}`)
    await foreign.rollback()
    return /Connection was killed|closed|socket/i
  },
}

t.test('locks, deadlocks and kills in mid-batch', { buffered: true }, async t => {
  const site = await tinySite(t, server)
  const files = [chunkedFile('a-first', 1)]
  drop(site.paths, files)
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  for (const [what, make] of Object.entries(TROUBLES)) {
    const file = chunkedFile(what.replaceAll(' ', '-'), files.length + 100)
    files.push(file)
    const said = parser.output().length
    const trouble = await waitInThirdChunk(t, site, () => drop(site.paths, [file]))
    const complaint = await make(trouble)
    await parser.untilSettled(files.length)
    const output = parser.output().slice(said)
    if (complaint === undefined) t.notMatch(output, /MariaDB is away/, `${what}: waited`)
    else t.match(/MariaDB is away reason=(.*)/.exec(output)?.[1] ?? '', complaint, what)
  }
  t.match(await stopProgram(parser), { code: 0 })
  t.equal((await batchesOf(site)).length, files.length, 'nothing was begun twice')
  await assertEverythingAddsUp(t, site, applied(...files))
})

t.test('mariadbd killed and started again in mid-batch', { buffered: true }, async t => {
  const own = await startDatabaseServer(t)
  const site = await tinySite(t, own)
  const files = [chunkedFile('a-first', 1), chunkedFile('b-second', 2)]
  drop(site.paths, files.slice(0, 1))
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  await waitInThirdChunk(t, site, () => drop(site.paths, files.slice(1)))
  await own.kill()
  const away = await untilAway(site, parser)
  t.match(away, /DATABASE_UNAVAILABLE|MariaDB is away/)
  await own.start()
  await parser.untilSettled(2)
  t.match(await stopProgram(parser), { code: 0 })
  await assertEverythingAddsUp(t, site, applied(...files))
})

async function untilAway(site: Site, parser: RunningParser): Promise<string> {
  return eventually(`MariaDB of ${site.paths.dir} is away`, () => {
    return /MariaDB is away/.test(parser.output()) && parser.output()
  })
}

t.test(
  'a server that is gone at COMMIT, and the parser killed too',
  { buffered: true },
  async t => {
    const site = await tinySite(t, server, NO_USAGE)
    const proxy = await startProxy(t, site)
    const file = chunkedFile('file', 1)
    const first = await startParser(t, site, proxy.env)
    proxy.arm('hold before', 3)
    drop(site.paths, [file])
    await eventually('a COMMIT is held', () => proxy.done === 1)
    first.signal('SIGKILL')
    await first.ended
    // The dead parser's COMMIT arrives now, or never: its connection is closed at the same time.
    proxy.release()
    const next = await startParser(t, site)
    await next.untilSettled(1)
    t.match(await stopProgram(next), { code: 0 })
    await assertEverythingAddsUp(t, site, applied(file))
  },
)
