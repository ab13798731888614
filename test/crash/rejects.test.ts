import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CrashPoint } from '../../shared/crash-points.ts'
import { rejectDraftName, rejectsName } from '../../shared/paths.ts'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer, withSession } from '../helpers/database.ts'
import { type DataFile, dataFile, drop, manifestOf, sha256Of } from '../helpers/files.ts'
import { assertNoLeftovers, list } from '../helpers/invariants.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import type { Site } from '../helpers/state-dir.ts'
import { type RejectModel, rejectModelOf } from '../parser/digest/fixtures/reject-model.ts'
import {
  journalledQueue,
  settleAll,
  spawnDoomed,
  tinySite,
  untilAgreed,
  wideFile,
} from './scene.ts'

// Bad lines are put aside once each, whenever the parser is killed, and the good ones are counted.

const server = await startDatabaseServer(t)
t.jobs = 3
t.setTimeout(600_000)

const TOLERANT = { COUNTERSINK_REJECT_LINES: '5%' }
const NONE = { lines: undefined, amount: undefined }

/** Some bad lines before each checkpoint, one of them across it. */
const large = ((): DataFile => {
  const lines = wideFile('large', 2).content.toString('latin1').trimEnd().split('\n')
  for (let i = 7; i < lines.length; i += 40) lines[i] = `what\0is ${i}\t?`
  lines.splice(lines.length / 3, 0, 'x'.repeat(70_000))
  return dataFile('large', `${lines.join('\n')}\nno 1`)
})()

const KILLS: readonly [point: CrashPoint, passing: number][] = [
  ['P2-reject-draft-begun', 1],
  ['P2-checkpoint-before', 2],
  ['P2-checkpoint-committed', 1],
  ['P2-checkpoint-committed', 2],
  ['P2-checkpoint-committed', 3],
  ['P3-final-run-sealed', 1],
  ['P3-before-digest-journalled', 1],
  ['P3-digest-journalled', 1],
  ['S3-staged', 1],
  ['P5-chunk-committed', 1],
  ['P7-rejects-published', 1],
  ['P7-before-journalled', 1],
  ['P7-done-journalled', 1],
  ['P8-linked', 1],
]

for (const [point, passing] of KILLS) {
  t.test(`killed at ${point}, passing ${passing}`, { buffered: true }, async t => {
    const site = await tinySite(t, server, TOLERANT)
    bring(site, large)
    await (await spawnDoomed(t, site, point, { passing })).died()
    const next = await startParser(t, site)
    await next.untilSettled(1)
    await untilAgreed(site)
    t.match(await stopProgram(next), { code: 0 })
    t.notMatch(next.output(), /a checkpoint was dropped|REJECTS_LOST/)
    await assertPutAside(t, site, large)
  })
}

for (const point of ['P7-rejects-published', 'P8-linked'] as const) {
  t.test(`held, killed at ${point}`, { buffered: true }, async t => {
    const site = await tinySite(t, server, { ...TOLERANT, COUNTERSINK_SAME_NAME: 'hold' })
    drop(site.paths, [dataFile('large', '1 1\n')])
    await settleAll(t, site, 1)
    bring(site, large)
    await (await spawnDoomed(t, site, point)).died()
    const next = await startParser(t, site)
    await next.untilSettled(2)
    const hash = sha256Of(large.content)
    const name = rejectsName('large', Buffer.from(hash, 'hex'))
    t.same(list(site.paths.rejects), [name], 'they are there before anybody decides')
    t.match(await countersink(t, site, 'release', hash), { code: 0 })
    t.match(await stopProgram(next), { code: 0 })
    const model = rejectModelOf(large.content, hash, 'large')
    t.ok(readFileSync(join(site.paths.rejects, name), 'latin1') === model.text)
    t.match(await countersink(t, site, 'verify', '--full', '--json'), {
      code: 0,
      stdout: new RegExp(`"rejectedLines":${model.rejected.lines}\\b`),
    })
  })
}

t.test('its sums, or its draft, are lost', { buffered: true }, async t => {
  for (const lost of ['runs', 'rejects'] as const) {
    const site = await tinySite(t, server, TOLERANT)
    bring(site, large)
    await (await spawnDoomed(t, site, 'P2-checkpoint-committed', { passing: 2 })).died()
    for (const name of list(site.paths[lost])) rmSync(join(site.paths[lost], name))
    t.match((await settleAll(t, site, 1)).output(), /a checkpoint was dropped/)
    await assertPutAside(t, site, large)
  }
})

t.test('the limit is lowered when it is read already', { buffered: true }, async t => {
  const site = await tinySite(t, server, TOLERANT)
  bring(site, large)
  await (await spawnDoomed(t, site, 'P3-digest-journalled')).died()
  for (const name of list(site.paths.runs)) rmSync(join(site.paths.runs, name))
  await settleAll(t, site, 1, { COUNTERSINK_REJECT_LINES: '0' })
  await assertPutAside(t, site, large)
})

t.test('the journal is lost when it is counted already', { buffered: true }, async t => {
  const site = await tinySite(t, server, TOLERANT)
  bring(site, large)
  await (await spawnDoomed(t, site, 'P6-batch-committed')).died()
  for (const path of [site.paths.journal, site.paths.runs, site.paths.rejects]) {
    for (const name of list(path)) rmSync(join(path, name))
  }
  await settleAll(t, site, 1)
  await assertPutAside(t, site, large)
})

t.test('what is left of a file that has gone is swept', { buffered: true }, async t => {
  const site = await tinySite(t, server, TOLERANT)
  bring(site, large)
  await (await spawnDoomed(t, site, 'P2-checkpoint-committed', { passing: 2 })).died()
  const [entry] = await journalledQueue(site)
  t.same(list(site.paths.rejects), [rejectDraftName(entry!.sequence)])
  for (const name of list(site.paths.work)) rmSync(join(site.paths.work, name))
  await settleAll(t, site, 1)
  await settleAll(t, site, 1)
  t.same(list(site.paths.rejects), [])
})

function bring(site: Site, file: DataFile): void {
  drop(site.paths, [file], { manifest: manifestOf(file.content, NONE) })
}

async function assertPutAside(t: Test, site: Site, { name, content }: DataFile): Promise<void> {
  const sha256 = sha256Of(content)
  const model = rejectModelOf(content, sha256, name)
  t.ok(model.rejected.lines > 30)
  const path = rejectsName(name, Buffer.from(sha256, 'hex'))
  t.same(list(site.paths.rejects), [path])
  t.ok(readFileSync(join(site.paths.rejects, path), 'latin1') === model.text, 'each is there, once')
  t.equal((await countersink(t, site, 'totals')).stdout, totalsText(model))
  const rows = await withSession(site, session =>
    session.query(
      `SELECT CAST(\`lines\` AS CHAR) AS \`lines\`, CAST(rejected_lines AS CHAR) AS rejected,
              CAST(amount AS CHAR) AS amount, state FROM countersink_file`,
    ),
  )
  const { lines, amount, rejected } = model
  t.match(rows, [
    { lines: `${lines}`, rejected: `${rejected.lines}`, amount: `${amount}`, state: 'applied' },
  ])
  t.match(await countersink(t, site, 'verify', '--full'), { code: 0 })
  await assertNoLeftovers(t, site)
}

function totalsText({ sums }: RejectModel): string {
  return sums.map(([id, amount]) => `${id}\t${amount}\n`).join('')
}
