import { closeSync, openSync, writeSync } from 'node:fs'
import { chmod, link, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Session } from '../../parser/ledger/index.ts'
import { type Consumers, idOf } from './data/consumers.ts'
import { randomWords } from './data/random.ts'
import { mustEqual } from './row.ts'
import type { Workspace } from './workspace.ts'

/** Pairs (consumer, amount), ascending by consumer, and what they add up to. */
export interface Pairs {
  readonly ids: BigUint64Array<ArrayBuffer>
  readonly amounts: BigUint64Array<ArrayBuffer>
  readonly amount: bigint
  readonly largest: bigint
}

/** One pair for each consumer, with amounts such as a file's sums are. */
export function makePairs(consumers: Consumers): Pairs {
  const ids = new BigUint64Array(consumers.count)
  const amounts = new BigUint64Array(consumers.count)
  let amount = 0n
  let largest = 0n
  for (let i = 0; i < ids.length; i += 1) {
    ids[i] = idOf(consumers, i)
    const value = BigInt(1 + (Math.imul(i, 0x9e3779b1) >>> 10))
    amounts[i] = value
    amount += value
    if (value > largest) largest = value
  }
  ids.sort()
  return { ids, amounts, amount, largest }
}

const LINES_EACH = 80
const LINE_AMOUNT_MAX = 100_000

/** Dense ids, each with the sum of as many lines as a file of a gigabyte has of a million. */
export function makeSumsOfLines(count: number, seed = 1): Pairs {
  const fill = randomWords(seed)
  const words = new Uint32Array(LINES_EACH)
  const ids = new BigUint64Array(count)
  const amounts = new BigUint64Array(count)
  let amount = 0
  let largest = 0
  for (let i = 0; i < count; i += 1) {
    fill(words)
    let sum = 0
    for (const word of words) sum += 1 + (word % LINE_AMOUNT_MAX)
    ids[i] = BigInt(i + 1)
    amounts[i] = BigInt(sum)
    amount += sum
    if (sum > largest) largest = sum
  }
  return { ids, amounts, amount: BigInt(amount), largest: BigInt(largest) }
}

const ROWS_PER_WRITE = 20_000

/** Makes an InnoDB table of these pairs, as the totals are declared, through LOAD DATA INFILE. */
export async function loadPairs(
  workspace: Workspace,
  session: Session,
  table: string,
  { ids, amounts, amount }: Pairs,
): Promise<void> {
  const path = workspace.path('pairs.txt')
  const fd = openSync(path, 'w', 0o644)
  for (let from = 0; from < ids.length; from += ROWS_PER_WRITE) {
    let text = ''
    const to = Math.min(from + ROWS_PER_WRITE, ids.length)
    for (let i = from; i < to; i += 1) text += `${ids[i]} ${amounts[i]}\n`
    writeSync(fd, text)
  }
  closeSync(fd)
  await createPairsTable(session, table)
  await loadFile(session, path, table)
  await rm(path)
  const [sum] = await session.query<{ amount: string }>(
    `SELECT SUM(amount) AS amount FROM ${table}`,
  )
  mustEqual(`the amount of ${table}`, sum?.amount ?? 0, amount)
}

export async function createPairsTable(session: Session, table: string): Promise<void> {
  await session.execute(
    `CREATE OR REPLACE TABLE ${table}
       (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, amount BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB`,
  )
}

/** Fills a table from a file of pairs. */
export async function loadFile(session: Session, path: string, table: string): Promise<void> {
  await loadData(
    session,
    path,
    file => `LOAD DATA INFILE '${file}' INTO TABLE ${table} FIELDS TERMINATED BY ' ' (id, amount)`,
  )
}

/**
 * The server reads the file itself: it runs on this host, and nothing is sent. The private one reads
 * no files but in one directory, which is empty otherwise.
 */
export async function loadData(
  session: Session,
  path: string,
  statement: (path: string) => string,
): Promise<void> {
  const [row] = await session.query<{ directory: string }>('SELECT @@secure_file_priv AS directory')
  const within = join(row?.directory ?? '', basename(path))
  // It reads what everybody may read, inside a directory that nobody else can enter.
  await chmod(path, 0o644)
  await link(path, within)
  try {
    await session.execute(statement(within))
  } finally {
    await rm(within)
  }
}
