import t from 'tap'
import { openingSequence } from '../../parser/ledger/schema/opening-blocks.ts'
import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { drop, seededFile } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { settleAll, spawnDoomed } from './scene.ts'
import { openForeign } from './sql.ts'

const server = await startDatabaseServer(t)
const POINTS = CRASH_POINTS.filter(name => name.startsWith('O'))
/** Above all consumers of the file. */
const FROM = 1_000_000n

for (const point of POINTS) {
  t.test(`killed at ${point}`, { buffered: true }, async t => {
    const site = await makeSite(t, server)
    const foreign = await openForeign(t, site)
    await foreign.execute(
      'CREATE TABLE consumption (id BIGINT UNSIGNED PRIMARY KEY, resource_consumption DECIMAL(38,0) NOT NULL)',
    )
    const insert = `INSERT INTO consumption SELECT ${FROM} + seq, CAST(seq AS SIGNED) - 100 FROM`
    await foreign.execute(`${insert} seq_1_to_20000`)
    await (await spawnDoomed(t, site, point)).died()
    // Of what somebody else writes meanwhile it depends on the point whether it is part of it.
    await foreign.execute(`INSERT INTO consumption VALUES (${FROM + 30_000n}, 7)`)
    drop(site.paths, [seededFile('after', 1)])
    await settleAll(t, site, 1)
    const again = await startParser(t, site)
    t.match(await stopProgram(again), { code: 0 })

    const [meta] = await foreign.query<{ generation: bigint; rows: bigint }>(
      'SELECT opening_generation AS generation, opening_rows AS `rows` FROM countersink_meta',
    )
    const rows = point === 'O2-taken' ? 20_000n : 20_001n
    t.equal(meta?.rows, rows)
    const sequence = openingSequence(meta!.generation)
    const [found] = await foreign.query<Record<'own' | 'others' | 'wide' | 'allWide', unknown>>(
      `SELECT (SELECT SUM(pairs) FROM countersink_sums WHERE file_sequence = ${sequence}) AS own,
              (SELECT COUNT(*) FROM countersink_sums
                WHERE file_sequence > 1000000 AND file_sequence <> ${sequence}) AS others,
              (SELECT COUNT(*) FROM countersink_opening_wide
                WHERE generation = ${meta!.generation}) AS wide,
              (SELECT COUNT(*) FROM countersink_opening_wide) AS allWide`,
    )
    t.match(found, { own: `${rows - 99n}`, others: 0n, wide: 99n, allWide: 99n })
  })
}
