import { readPublished, runNames } from '../../generator/state.ts'
import { readJournal } from '../../parser/journal/index.ts'
import {
  type Balance,
  databaseAddress,
  openSession,
  readBalance,
} from '../../parser/ledger/index.ts'
import type { Config } from '../../shared/config.ts'
import { formatBytes, formatCount, formatDuration } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'
import { fitTable } from '../terminal/index.ts'

/**
 * The last words of `up --files N`: what became of each file, and whether it all adds up. Made when
 * the parser has ended and MariaDB still runs, from what is durable: the journal, the ledger, the
 * totals and the generator's control totals. None of these is made from another.
 */
export interface ClosingReport {
  readonly lines: readonly string[]
  readonly addsUp: boolean
  /** It is about all that was ever generated here. */
  readonly isFirst: boolean
  /** The newest of them, oldest first. */
  readonly files: readonly ProcessedFile[]
  readonly filesSettled: number
  readonly filesWanted: number
  /** undefined: there is no ledger. */
  readonly balance: Balance | undefined
  /** What the generator says it made. */
  readonly control: Control
}

interface Control {
  readonly files: number
  readonly amount: bigint
}

/** Rows of the table; of longer runs the newest are shown. */
const ROWS_MAX = 200

/** @param columns the width of the terminal that shows it */
export async function closingReport(
  paths: StatePaths,
  config: Config,
  columns = Number.POSITIVE_INFINITY,
): Promise<ClosingReport> {
  const published = await readPublished(paths)
  const names =
    published?.run == null ? new Set<string>() : new Set(runNames(published.stream, published.run))
  const files = await filesOf(paths, names)
  const session = await openSession(databaseAddress(config, paths))
  try {
    const streams = published === undefined ? [] : [published, ...published.earlier]
    const balance = await readBalance(
      session,
      config,
      streams.map(({ stream }) => `usage-${stream}-`),
    )
    const control = {
      files: streams.reduce((sum, one) => sum + one.control.files, 0),
      amount: streams.reduce((sum, one) => sum + one.control.amount, 0n),
    }
    const table = fileTable(files, names.size, columns)
    const facts = {
      ...{ files: files.slice(-ROWS_MAX), filesSettled: files.length, filesWanted: names.size },
      ...{ balance, control },
    }
    if (balance === undefined) {
      const lines = [...table, '', 'There is no ledger: nothing was counted.']
      return { lines, addsUp: false, isFirst: false, ...facts }
    }
    const { lines, addsUp } = proof(balance, control, columns)
    return {
      lines: [...table, '', ...lines],
      addsUp: addsUp && files.length === names.size,
      isFirst: control.files === names.size,
      ...facts,
    }
  } finally {
    await session.close()
  }
}

/** The newest record of each name, oldest first. */
async function filesOf(paths: StatePaths, names: ReadonlySet<string>): Promise<ProcessedFile[]> {
  const found = new Map<string, ProcessedFile>()
  await readJournal(paths.journal, (view, state) => {
    for (let number = state.nextNumber - 1; number > 0 && found.size < names.size; number -= 1) {
      const file = view.processed(number)
      if (file !== undefined && names.has(file.name) && !found.has(file.name)) {
        found.set(file.name, file)
      }
    }
  })
  return [...found.values()].reverse()
}

function fileTable(files: readonly ProcessedFile[], wanted: number, columns: number): string[] {
  const shown = files.slice(-ROWS_MAX)
  const lines = fitTable(
    ['file', 'size', 'lines', 'amount', 'outcome', 'time'],
    shown.map(file => [
      file.name,
      formatBytes(file.sizeBytes),
      formatCount(file.lines),
      formatCount(BigInt(file.amount)),
      file.outcome,
      formatDuration(file.settledAtMs - file.claimedAtMs),
    ]),
    new Set([1, 2, 3, 5]),
    columns,
  )
  if (shown.length < files.length) lines.push(`… and ${files.length - shown.length} before these`)
  if (files.length < wanted)
    lines.push(`${wanted - files.length} of ${wanted} files are not settled`)
  return lines
}

function proof(
  balance: Balance,
  control: Control,
  columns: number,
): Pick<ClosingReport, 'lines' | 'addsUp'> {
  const grown = balance.totalsAmount - balance.openingAmount
  const checks: [string, bigint, string, bigint][] = [
    [
      'totals in MariaDB less the opening balance',
      grown,
      'sum of the ledger',
      balance.ledgerAmount,
    ],
    [
      `ledger, generated files (${balance.namedFiles})`,
      balance.namedAmount,
      `control totals of the generator (${control.files})`,
      control.amount,
    ],
  ]
  const addsUp =
    checks.every(([, left, , right]) => left === right) &&
    control.files === balance.namedFiles &&
    balance.batchesOpen === 0
  const width = Math.max(...checks.map(([left]) => left.length))
  const numberWidth = Math.max(...checks.map(([, left]) => formatCount(left).length))
  const wide = checks.map(([left, a, right, b]) => {
    const sign = a === b ? '=' : '≠'
    return `${left.padEnd(width)}  ${formatCount(a).padStart(numberWidth)}  ${sign}  ${formatCount(b).padStart(numberWidth)}  ${right}`
  })
  const narrow = checks.flatMap(([left, a, right, b]) => [
    left,
    `  ${a === b ? '=' : '≠'} ${right}`,
    `  ${formatCount(a)} ${a === b ? '=' : '≠'} ${formatCount(b)}`,
  ])
  const lines = wide.every(line => line.length <= columns) ? wide : narrow
  const others = balance.ledgerAmount - balance.namedAmount
  if (others !== 0n) lines.push(`(the ledger also holds ${formatCount(others)} of other files)`)
  if (balance.batchesOpen > 0) lines.push(`${balance.batchesOpen} batches are not finished`)
  lines.push(addsUp ? 'It adds up.' : 'IT DOES NOT ADD UP: do not bill by these totals.')
  return { lines, addsUp }
}
