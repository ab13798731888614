import { link, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Session } from '../../../parser/ledger/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import type { KnownFile } from '../data/make-file.ts'
import { timed } from '../paired.ts'
import { createPairsTable, loadFile, loadPairs, makePairs } from '../pairs-table.ts'
import { judge, mustEqual, sizeText, times } from '../row.ts'
import { Announcer, Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'
import { until } from '../until.ts'

const AIM = 50
const TURNS_MAX = 3
const RAW = 'bench_raw'
const THEIRS = 'bench_totals'

/** From a file's publication to its sums being committed, against what SQL alone offers. */
export const wholeWay: Section = {
  name: 'whole-way',
  summary:
    'publish → applied, ids that are present, against LOAD DATA + INSERT … SELECT … GROUP BY',
  diskBytes: scale => scale.wholeWayBytes + scale.loadDataBytes * 8 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const { workspace, scale } = bench
    const site = await Site.make(workspace)
    const consumers = { kind: 'uniform', count: scale.wholeWayConsumers } as const
    const pairs = makePairs(consumers)
    await site.withSession(async session => {
      await loadPairs(workspace, session, 'bench_source', pairs)
      const { totalsTable, totalsIdColumn, totalsAmountColumn } = site.config
      await session.execute(
        `CREATE TABLE ${totalsTable} (${totalsIdColumn} BIGINT UNSIGNED NOT NULL PRIMARY KEY,
           ${totalsAmountColumn} BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB
         SELECT id AS ${totalsIdColumn}, 0 AS ${totalsAmountColumn} FROM bench_source`,
      )
      await createPairsTable(session, THEIRS)
      await session.execute(`INSERT INTO ${THEIRS} SELECT id, 0 FROM bench_source`)
    })
    const parser = await site.startParser()
    const turns = Math.min(TURNS_MAX, scale.repetitions)
    const ours: number[] = []
    const theirs: number[] = []
    let amount = 0n
    let loadedAmount = 0n
    let bytes = 0
    for (let turn = 0; turn < turns; turn += 1) {
      const file = await bench.newFile(scale.wholeWayBytes, consumers)
      bench.say(`publishing ${sizeText(file.sizeBytes)}: ${turn + 1} of ${turns}`)
      ours.push(await publishAndWait(site, file, `whole-way-${turn}.txt`))
      await rm(file.path)
      await site.emptyArchive()
      amount += file.amount
      bytes = file.sizeBytes
      const part = await bench.newFile(scale.loadDataBytes, consumers)
      bench.say(`LOAD DATA of ${sizeText(part.sizeBytes)}`)
      theirs.push(scaled(await site.withSession(session => loadAndAdd(session, part)), part, file))
      await rm(part.path)
      loadedAmount += part.amount
    }
    await parser.stop()
    await checkAmounts(site, amount, loadedAmount)
    await site.stopServer()
    report(bench, bytes, ours, theirs)
  },
}

function report(
  bench: Bench,
  bytes: number,
  ours: readonly number[],
  theirs: readonly number[],
): void {
  const part = `LOAD DATA + INSERT … SELECT … GROUP BY (measured on ${sizeText(bench.scale.loadDataBytes)}, scaled)`
  bench.row({
    section: 'whole-way',
    name: 'whole-way',
    what: `publish → applied, ${sizeText(bytes)} and ${formatCount(bench.scale.wholeWayConsumers)} present ids: times as fast as ${part}`,
    ...judge(medianOf(theirs.map((seconds, turn) => seconds / ours[turn]!)), {
      side: 'at least',
      bound: AIM,
      write: times,
    }),
    figures: {
      secondsMedian: medianOf(ours),
      secondsMin: Math.min(...ours),
      noise: spreadOf(ours).noise,
      megabytesPerSecond: bytes / 1e6 / medianOf(ours),
      loadDataScaledSecondsMedian: medianOf(theirs),
      loadDataScaledSecondsMin: Math.min(...theirs),
    },
  })
}

/** Seconds from the rename into the inbox to the word that it is applied. */
export async function publishAndWait(site: Site, file: KnownFile, name: string): Promise<number> {
  const announcer = await Announcer.connect(site)
  const outcome = announcer.outcomeOf(name)
  const startedMs = performance.now()
  await link(file.path, join(site.paths.inbox, name))
  await announcer.announce(name, file)
  let endedMs: number | undefined
  let found = ''
  void outcome.then(settled => {
    endedMs = performance.now()
    found = settled.outcome
  })
  const seconds = await until(
    `${name} is settled`,
    () => {
      site.throwIfEnded()
      return endedMs === undefined ? undefined : (endedMs - startedMs) / 1_000
    },
    { withinMs: 1_800_000 },
  )
  mustEqual(`the outcome of ${name}`, found, 'applied')
  announcer.close()
  return seconds
}

interface SqlSeconds {
  readonly load: number
  /** The grouping alone. */
  readonly group: number
  /** Grouping and adding, in one statement. */
  readonly groupAndAdd: number
}

async function loadAndAdd(session: Session, file: KnownFile): Promise<SqlSeconds> {
  await session.execute(
    `CREATE OR REPLACE TABLE ${RAW}
       (id BIGINT UNSIGNED NOT NULL, amount BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB`,
  )
  const grouped = `SELECT id, SUM(amount) AS total FROM ${RAW} GROUP BY id`
  const load = await timed(() => loadFile(session, file.path, RAW))
  const groupAndAdd = await timed(() =>
    session.execute(
      `INSERT INTO ${THEIRS} (id, amount) SELECT id, total FROM (${grouped}) sums
       ON DUPLICATE KEY UPDATE ${THEIRS}.amount = ${THEIRS}.amount + VALUES(amount)`,
    ),
  )
  const group = await timed(() => session.query(`SELECT SUM(total) FROM (${grouped}) sums`))
  await session.execute(`DROP TABLE ${RAW}`)
  return { load, group, groupAndAdd }
}

/**
 * What it would take for the whole file: loading and grouping grow with the lines, adding with the
 * consumers that occur. (A larger grouping spills to disk, which is not charged here.)
 */
function scaled({ load, group, groupAndAdd }: SqlSeconds, part: KnownFile, whole: KnownFile) {
  const add = Math.max(0, groupAndAdd - group)
  return (load + group) * (whole.lines / part.lines) + add * (whole.ids / part.ids)
}

async function checkAmounts(site: Site, ours: bigint, theirs: bigint): Promise<void> {
  const { totalsTable, totalsAmountColumn } = site.config
  const [row] = await site.withSession(session =>
    session.query<{ ours: string; theirs: string }>(
      `SELECT (SELECT SUM(${totalsAmountColumn}) FROM ${totalsTable}) AS ours,
              (SELECT SUM(amount) FROM ${THEIRS}) AS theirs`,
    ),
  )
  mustEqual('the amount of all totals', row?.ours ?? 0, ours)
  mustEqual('what LOAD DATA added up', row?.theirs ?? 0, theirs)
}
