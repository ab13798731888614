import { randomBytes } from 'node:crypto'
import {
  askFor,
  type BatchFile,
  isFileOrder,
  type Ledger,
  type LedgerFile,
  ledgerNames,
  newBatchId,
  objectionToUndo,
  orderOf,
  type Session,
} from '../../../parser/ledger/index.ts'
import { MemorySums } from '../../../parser/sums/index.ts'
import { formatCount } from '../../../shared/numbers.ts'
import { emptyTable, ledgerOf, ourTotals } from '../apply-once.ts'
import { type Bench, PRIVATE_MARIADB_BYTES, type Section } from '../bench-context.ts'
import { ratios, timed } from '../paired.ts'
import { makePairs, type Pairs } from '../pairs-table.ts'
import { judge, mustEqual, times } from '../row.ts'
import { Site } from '../site.ts'
import { medianOf, spreadOf } from '../statistics.ts'

const UNDO_MAX = 1.15
const SUPERSEDE_MAX = 1.3
const DIFFERING = 100

/**
 * Taking a file back against counting it, and replacing it by one that differs in a hundredth of its
 * consumers against taking it back: from the ledger's blocks to the last commit, in turn. The look for
 * totals that have too little comes before anything moves, and is told apart.
 */
export const corrections: Section = {
  name: 'corrections',
  summary: 'undo and supersede, against counting the same file',
  diskBytes: scale => scale.applyPairs * 1_500 + PRIVATE_MARIADB_BYTES,
  async run(bench) {
    const count = bench.scale.applyPairs
    for (const kind of ['uniform', 'sparse'] as const) {
      const site = await Site.make(bench.workspace)
      await measure(bench, site, kind, makePairs({ kind, count }))
      await site.stopServer()
    }
  },
}

async function measure(
  bench: Bench,
  site: Site,
  kind: 'uniform' | 'sparse',
  pairs: Pairs,
): Promise<void> {
  const ledger = ledgerOf(site)
  await site.withSession(async session => {
    const { uuid } = await ledger.open()
    await ledger.takeOpening()
    await emptyTable(session, ourTotals(site).table)
    const { counter, recorder } = ledger
    await counter.takeLease()
    const file = fileOf(pairs, 1)
    await recorder.record([file], () => false)
    const found = { apply: [] as number[], look: [] as number[], undo: [] as number[] }
    const row = async (one: BatchFile): Promise<LedgerFile> => (await ledger.find(one.sha256))!
    const ask = async (what: 'undo' | 'redo'): Promise<void> => {
      await askFor(session, ledgerNames(site.config), orderOf(what, uuid, await row(file), ''))
    }
    const turns = bench.scale.applyRepetitions
    for (let turn = 0; turn <= turns; turn += 1) {
      bench.say(`corrections, ${kind}: ${turn} of ${turns}`)
      // The first makes the rows.
      const applySeconds = await timed(() => countAll(ledger))
      const look = await timed(async () => {
        mustEqual(
          'objections',
          String(await objectionToUndo(session, site.config, await row(file))),
          'undefined',
        )
      })
      await ask('undo')
      const undoSeconds = (await timed(() => carryOut(ledger, 'applied'))) - look
      if (turn > 0) {
        found.apply.push(applySeconds)
        found.look.push(look)
        found.undo.push(undoSeconds)
      }
      await ask('redo')
      await carryOut(ledger, 'done')
    }
    bench.row({
      section: 'corrections',
      name: `undo-${kind}`,
      what: `${formatCount(pairs.ids.length)} ${kind} consumers taken back, against counting them, without the look before it: time`,
      ...judge(medianOf(ratios(found.undo, found.apply)), {
        ...{ side: 'at most', bound: UNDO_MAX, write: times },
      }),
      figures: {
        undoSecondsMedian: medianOf(found.undo),
        applySecondsMedian: medianOf(found.apply),
        lookSecondsMedian: medianOf(found.look),
        noise: spreadOf(found.undo).noise,
      },
    })
    await countAll(ledger)
    const supersede: number[] = []
    let old = file
    for (let turn = 0; turn < turns; turn += 1) {
      bench.say(`corrections, ${kind}: replaced ${turn + 1} of ${turns}`)
      const other = fileOf(differing(pairs, turn + 1), turn + 2, old)
      await recorder.record([other], () => false)
      const seconds = await timed(() => carryOut(ledger, 'applied'))
      supersede.push(seconds)
      old = other
    }
    await checkTotals(session, site, pairs, turns)
    const undoWhole = found.undo.map((seconds, i) => seconds + found.look[i]!)
    bench.row({
      section: 'corrections',
      name: `supersede-${kind}`,
      what: `${formatCount(pairs.ids.length)} ${kind} consumers replaced by as many of which a hundredth differs, against taking them back, both with the look before it: time`,
      ...judge(medianOf(ratios(supersede, undoWhole)), {
        ...{ side: 'at most', bound: SUPERSEDE_MAX, write: times },
      }),
      figures: {
        supersedeSecondsMedian: medianOf(supersede),
        undoSecondsMedian: medianOf(undoWhole),
        noise: spreadOf(supersede).noise,
      },
    })
  })
  await ledger.close()
}

async function countAll({ counter }: Ledger): Promise<void> {
  const files = await counter.waiting(1)
  const { kind } = await counter.countStaged({ id: newBatchId(), files })
  mustEqual('the outcome of a batch', kind, 'applied')
}

async function carryOut({ counter }: Ledger, outcome: 'applied' | 'done'): Promise<void> {
  const [order] = (await counter.waitingOrders(1)).filter(isFileOrder)
  mustEqual('the outcome of an order', (await counter.carryOut(order!)).kind, outcome)
}

function fileOf(pairs: Pairs, number: number, old?: BatchFile): BatchFile {
  const { ids, amounts, amount, largest } = pairs
  const nowMs = Date.now()
  const supersedes = old && Buffer.from(old.sha256).toString('hex')
  return {
    ...{ sums: new MemorySums(ids, amounts), amount, largestSum: largest },
    ...{ lines: ids.length, sizeBytes: 1, sha256: randomBytes(32) },
    ...{ workSequence: number, name: `bench-${number}`, claimedAtMs: nowMs, digestedAtMs: nowMs },
    ...(supersedes === undefined ? {} : { terms: { supersedes } }),
  }
}

/** The same, but for a hundredth of them: more by so much. */
function differing(pairs: Pairs, more: number): Pairs {
  const amounts = pairs.amounts.slice()
  let amount = pairs.amount
  let largest = pairs.largest
  for (let i = 0; i < amounts.length; i += DIFFERING) {
    amounts[i]! += BigInt(more)
    amount += BigInt(more)
    if (amounts[i]! > largest) largest = amounts[i]!
  }
  return { ...pairs, amounts, amount, largest }
}

async function checkTotals(
  session: Session,
  site: Site,
  pairs: Pairs,
  turns: number,
): Promise<void> {
  const { table, amount } = ourTotals(site)
  const [row] = await session.query<{ sum: string }>(`SELECT SUM(${amount}) AS sum FROM ${table}`)
  mustEqual('the totals together', BigInt(row!.sum), differing(pairs, turns).amount)
}
