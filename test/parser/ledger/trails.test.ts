import { createHash } from 'node:crypto'
import t from 'tap'
import { findTrails } from '../../../parser/ledger/asking/trails.ts'
import { ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { publishedName } from '../../../shared/paths.ts'
import { fileOf, openLedgerScene, startServer } from './helpers.ts'

// Which of the ledger's files are meant by a name.

const server = await startServer(t)

t.test('many later names that look like the one that is asked for', async t => {
  const here = await openLedgerScene(t, await server.database())
  await here.ledger.open()
  const n = ledgerNames(here.config)
  const file = (name: string, seed: string) => {
    const sha256 = createHash('sha256').update(seed).digest()
    const given = publishedName(name, sha256.toString('hex'))
    return { sha256, given, row: fileOf([[1n, 1n]], { sha256, name: given }) }
  }
  const wanted = file('day.txt', 'wanted')
  await here.record([wanted.row])
  const others = Array.from({ length: 30 }, (_, i) => ({
    ...fileOf([[1n, 1n]]),
    name: `day.txt-20260131-${100 + i}`,
    workSequence: i + 2,
  }))
  await here.record(others)
  for (const { sha256, name, workSequence } of [...others, { ...wanted.row, workSequence: 1 }]) {
    const seen = workSequence === 1 ? '2026-01-01' : '2026-01-02'
    await here.session.execute(
      `INSERT INTO ${n.sighting} VALUES (?, ?, ?, ?, 'duplicate', 'counted before', '${seen}')`,
      [Buffer.alloc(16, 7), workSequence, sha256, name],
    )
  }
  const found = await findTrails(here.session, n, { kind: 'trail', name: 'day.txt' })
  const sha256 = wanted.sha256.toString('hex')
  t.match(found, { rows: [{ name: wanted.given }], sightings: [{ sha256 }], hasMore: false })
  t.equal(found.rows.length, 1)
  const [other] = others
  const itself = await findTrails(here.session, n, { kind: 'trail', name: other!.name })
  t.ok(itself.rows.length > 0, 'by its whole name')
})
