import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BatchFile, type Ledger, newBatchId } from '../../parser/ledger/index.ts'
import { MemorySums } from '../../parser/sums/index.ts'
import { formatCount } from '../../shared/numbers.ts'
import { ledgerOf } from './apply-once.ts'
import type { Bench } from './bench-context.ts'
import { makeSumsOfLines, type Pairs } from './pairs-table.ts'
import { mustEqual } from './row.ts'
import { Site } from './site.ts'

/** Contents with blocks, recorded and counted by the ledger's own code: no file is made or read. */

/** So many in one call, which records small ones together. */
const RECORDED_AT_ONCE = 50
/** As many as the parser merges into one batch. */
const COUNTED_AT_ONCE = 64

/** A site whose ledger has counted so many contents of as many consumers each; the ledger is open. */
export async function countedSite(bench: Bench, contents: number, consumers: number) {
  const site = await Site.make(bench.workspace)
  const ledger = await openLedger(site)
  bench.say(`recording ${formatCount(contents)} contents of ${formatCount(consumers)} consumers`)
  const sums = makeSumsOfLines(consumers)
  await countContents(ledger, sums, contents)
  return { site, ledger, sums }
}

/** As a parser does before it counts. */
export async function openLedger(site: Site): Promise<Ledger> {
  const ledger = ledgerOf(site)
  await ledger.open()
  await ledger.takeOpening()
  return ledger
}

/** The same sums again and again, as contents that nobody has seen. */
export async function countContents(
  ledger: Ledger,
  { ids, amounts, amount, largest }: Pairs,
  contents: number,
  onProgress: (counted: number) => void = () => {},
): Promise<void> {
  const { counter, recorder } = ledger
  await counter.takeLease()
  for (let made = 0; made < contents; ) {
    const next = Math.min(contents, made + RECORDED_AT_ONCE)
    const files: BatchFile[] = []
    for (; made < next; made += 1) {
      const nowMs = Date.now()
      files.push({
        ...{ sums: new MemorySums(ids, amounts), amount, largestSum: largest },
        ...{ lines: ids.length, sizeBytes: 1, sha256: randomBytes(32) },
        ...{ workSequence: made + 1, name: `bench-${made}` },
        ...{ claimedAtMs: nowMs, digestedAtMs: nowMs },
      })
    }
    await recorder.record(files, () => false)
  }
  for (let counted = 0; counted < contents; ) {
    const files = await counter.waiting(COUNTED_AT_ONCE)
    const { kind } = await counter.countStaged({ id: newBatchId(), files })
    mustEqual('the outcome of a batch', kind, 'applied')
    counted += files.length
    onProgress(counted)
  }
}

/** Bytes of the files that InnoDB keeps these tables of the site's ledger in. */
export async function tableFileBytes(site: Site, tables: readonly string[]): Promise<number> {
  let bytes = 0
  for (const table of tables) {
    const name = `${site.config.tablePrefix}${table}.ibd`
    bytes += (await stat(join(site.paths.mariadb, 'countersink', name))).size
  }
  return bytes
}
