import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { readTotals } from '../../parser/ledger/asking/totals.ts'
import type { Session } from '../../parser/ledger/connection.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { archivedName, parseArchivedName } from '../../shared/archive.ts'
import { settledName } from '../../shared/paths.ts'
import type { Outcome, ProcessedFile, ProcessedPage } from '../../shared/protocol.ts'
import { answerOf } from './answers.ts'
import { withSession } from './database.ts'
import { type DataFile, sha256Of, type Totals, totalsOf } from './files.ts'
import { ledgerFaults } from './ledger-faults.ts'
import type { Site } from './state-dir.ts'

/** A file and what must have become of it. */
export type Fate = readonly [file: DataFile, outcome: Outcome]

type Asserts = Pick<Test, 'equal' | 'same' | 'ok' | 'notOk'>

/**
 * All invariants, when every file is settled.
 *
 * @param totals what must stand in MariaDB, where the sum of the applied files takes too long.
 */
export async function assertEverythingAddsUp(
  t: Asserts,
  site: Site,
  fates: readonly Fate[],
  totals = totalsOf(fates.flatMap(([file, outcome]) => (outcome === 'applied' ? [file] : []))),
): Promise<void> {
  await withSession(site, async session => {
    await assertTotalsEqual(t, site, session, totals)
    await assertLedgerBalances(t, site, session)
    const contents = fates.map(([{ content }]) => content)
    const faults = await ledgerFaults(session, ledgerNames(site.config), contents)
    t.same(faults, [], 'the ledger does not contradict itself or its files')
    await assertEachFileHasOneOutcome(t, site, session, fates)
  })
  await assertNoLeftovers(t, site)
}

/** The totals in MariaDB are these, row by row, and no others. */
export async function assertTotalsEqual(
  t: Asserts,
  site: Site,
  session: Session,
  expected: Totals,
): Promise<void> {
  const found = new Map<bigint, bigint>()
  for await (const { id, amount } of readTotals(session, site.config)) found.set(id, amount)
  const wrong = [...new Set([...expected.keys(), ...found.keys()])]
    .filter(id => expected.get(id) !== found.get(id))
    .map(id => `${id}: ${found.get(id) ?? 'no row'}, expected ${expected.get(id) ?? 'no row'}`)
  t.same(wrong.slice(0, 10), [], `the totals of ${expected.size} consumers are exact`)
}

/** What the totals grew by is what the ledger's files, and its batches, say. */
export async function assertLedgerBalances(
  t: Asserts,
  site: Site,
  session: Session,
): Promise<void> {
  const n = ledgerNames(site.config)
  const [sums] = await session.query<Record<string, string | bigint>>(
    `SELECT (SELECT COALESCE(SUM(${n.amount}), 0) FROM ${n.totals}) - opening_amount AS totals,
            (SELECT COALESCE(SUM(amount), 0) FROM ${n.file} WHERE state = 'applied') AS files,
            (SELECT COALESCE(SUM(amount_applied), 0) FROM ${n.batch}) AS batches,
            (SELECT COALESCE(MAX(${n.amount}), 0) FROM ${n.totals}) <= total_upper_bound AS bounded
       FROM ${n.meta}`,
  )
  const { totals = 0, files = 0, batches = 0, bounded = 0 } = sums ?? {}
  t.equal(BigInt(totals), BigInt(files), 'the totals grew by what the files of the ledger hold')
  t.equal(BigInt(batches), BigInt(files), 'the batches applied what the files hold')
  t.equal(BigInt(bounded), 1n, 'no total is above its upper bound')
  const open = await session.query(
    `SELECT state FROM ${n.batch}
      WHERE state <> 'applied' OR pairs_applied <> pairs_planned OR amount_applied <> amount_planned
         OR ended_at IS NULL`,
  )
  t.same(open, [], 'every batch is applied as planned')
}

/** Each file is in the ledger, in the journal and in one directory, with the same outcome. */
export async function assertEachFileHasOneOutcome(
  t: Asserts,
  site: Site,
  session: Session,
  fates: readonly Fate[],
): Promise<void> {
  const told = fates.map(([file, outcome]) => tell(outcome, file.name, sha256Of(file.content)))
  told.sort()
  const n = ledgerNames(site.config)
  const rows = await session.query<{ outcome: Outcome; name: string; sha256: Buffer }>(
    `SELECT state AS outcome, name, sha256 FROM ${n.file} WHERE state <> 'refused'
      UNION ALL SELECT outcome, name, sha256 FROM ${n.sighting}`,
  )
  const inLedger = rows.map(row => tell(row.outcome, row.name, row.sha256.toString('hex')))
  t.same(inLedger.sort(), told, 'the ledger has each file once, with its outcome')

  const records = await processedFiles(site)
  const inJournal = records.map(file => tell(file.outcome, file.name, file.sha256))
  t.same(inJournal.sort(), told, 'the journal has each file once, with its outcome')

  // Equal contents of one name differ in the sequence behind it.
  const expected = fates.map(
    ([{ name, content }, outcome]) => `${outcome} ${nameInPlace(name, content, outcome)}`,
  )
  const names = settledNames(site).map(withoutSequence)
  t.same(
    [...new Set(names)].sort(),
    [...new Set(expected)].sort(),
    'each file lies where its outcome says',
  )
}

/** Nothing half done lies around; the parser may run or not. */
export async function assertNoLeftovers(t: Asserts, site: Site): Promise<void> {
  const { inbox, work, runs, generatorTmp } = site.paths
  for (const path of [inbox, work, runs, generatorTmp]) {
    t.same(list(path), [], `${path.slice(site.paths.dir.length + 1)} is empty`)
  }
  const { queued } = (await answerOf(site, { kind: 'queue', after: 0 })) ?? { queued: [] }
  const waiting = queued.filter(({ stage }) => stage !== 'settling')
  t.same(waiting, [], 'nothing waits in the journal')
}

/** Every record of the journal, oldest first. */
export async function processedFiles(site: Site): Promise<ProcessedFile[]> {
  const files: ProcessedFile[] = []
  for (let number: number | undefined = 0; number !== undefined; ) {
    const page: ProcessedPage | undefined = await answerOf(site, { kind: 'after', number })
    files.push(...(page?.files ?? []))
    number = page?.next
  }
  return files
}

function tell(outcome: Outcome, name: string, sha256: string): string {
  return `${outcome} ${name} ${sha256}`
}

function settledNames(site: Site): string[] {
  const { archive, archiveDisposable, duplicate, quarantine, reverted, held } = site.paths
  const within = (outcome: Outcome, names: readonly string[]): string[] =>
    names.map(name => `${outcome} ${name}`)
  return [
    ...within('applied', archivedIn(archive)),
    ...within('applied', archivedIn(archiveDisposable)),
    ...within('duplicate', list(duplicate)),
    ...within('reverted', list(reverted)),
    ...within('quarantined', list(quarantine)),
    ...within('held', list(held)),
  ]
    .filter(name => !/\.(reason|manifest)\.json$/.test(name))
    .sort()
}

/** The generated files in the archive, as they lie there. */
export function generatedFiles(site: Site): DataFile[] {
  const { archiveDisposable } = site.paths
  return archivedIn(archiveDisposable).map(settled => ({
    name: parseArchivedName(settled)?.name ?? '',
    content: readFileSync(archivedPath(archiveDisposable, settled) ?? ''),
  }))
}

/** Where a settled file lies: its name there, if nobody else has taken that. */
export function nameInPlace(name: string, content: Buffer, outcome: Outcome): string {
  const nameIt = outcome === 'applied' ? archivedName : settledName
  return nameIt(name, Buffer.from(sha256Of(content), 'hex'))
}

/** The names of the files in an archive, whatever their days. */
export function archivedIn(archive: string): string[] {
  return pathsIn(archive)
    .map(path => basename(path))
    .sort()
}

/** Where the file of that name is in it; undefined: it is not. */
export function archivedPath(archive: string, name: string): string | undefined {
  return pathsIn(archive).find(path => basename(path) === name)
}

/** Of the files of all days, and of those of an earlier version, which lie above them. */
function pathsIn(archive: string, depth = 0): string[] {
  const here = list(archive).map(name => join(archive, name))
  if (depth === DAY_DEPTH) return here
  const below = numbersIn(archive).flatMap(name => pathsIn(join(archive, name), depth + 1))
  return [...(depth === 0 ? here : []), ...below]
}

function numbersIn(path: string): string[] {
  try {
    return readdirSync(path).filter(name => /^(\d\d|\d{4})$/.test(name))
  } catch {
    return []
  }
}

/** Year, month, day. */
const DAY_DEPTH = 3

/** The files in a directory; none when it was never made. */
export function list(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter(entry => !entry.isDirectory())
      .map(({ name }) => name)
      .sort()
  } catch {
    return []
  }
}

/** Of a settled file or its sidecar: the name it has where nobody else has taken that. */
export function withoutSequence(name: string): string {
  return name
    .replace(/(\.[0-9a-f]{16})\.\d{15}(?=$|\.reason\.json$)/, '$1')
    .replace(/(\.[0-9a-f]{12})\.\d{15}(?=$|\.)/, '$1')
}
