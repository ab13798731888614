import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Session } from '../../parser/ledger/connection.ts'
import { type LedgerNames, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { archivedName, parseArchivedName } from '../../shared/archive.ts'
import {
  classifyName,
  givenName,
  MANIFEST_SUFFIX,
  parseSettledName,
  type StatePaths,
} from '../../shared/paths.ts'
import { amountOf, linesOf, sha256Of, totalsOf } from '../helpers/files.ts'
import { archivedIn, withoutSequence } from '../helpers/invariants.ts'
import { ledgerFaults } from '../helpers/ledger-faults.ts'
import type { PlannedFile } from './contents.ts'
import type { Foreign } from './database.ts'
import { type Expected, expectedOf, mayBeRefused, nameInPlace, wronglyRefused } from './model.ts'
import { wrongPostings } from './postings.ts'
import { unprovenOf } from './proof.ts'
import { refusedIn } from './refused-in.ts'
import type { HistorySite } from './site.ts'

/** What is looked at: one ledger, and the state directories of all who have written to it. */
export type JudgedSite = Pick<HistorySite, 'config' | 'address'> & {
  readonly directories: readonly StatePaths[]
  readonly database: Foreign
}

/**
 * What is not as it must be at the end of a history, in words; nothing when all is well. Looks at
 * directories and tables alone: a journal may have been deleted on the way.
 */
export async function faultsOf(
  site: JudgedSite,
  files: readonly PlannedFile[],
  seed: number,
): Promise<string[]> {
  const { config, database } = site
  const names = ledgerNames(config)
  const session = await Session.open(site.address)
  try {
    const expected = expectedOf(files, database, refusedIn(site.directories))
    const applied = database.wasChanged
      ? await ledgerNamesOf(session, names)
      : archivedNames(site, expected)
    return [
      ...wronglyRefused(files, database, expected),
      ...wrongPlaces(site, expected, applied),
      ...leftovers(site),
      ...(await wrongTotals(session, names, expected)),
      ...(await wrongFiles(session, names, expected, applied)),
      ...(await wrongSightings(site, session, names, expected, applied)),
      ...(await wrongSums(session, names, expected)),
      ...(await wrongPostings(session, names, expected)),
      ...(await unprovenOf(session, config, database, expected, seed)),
    ]
  } finally {
    await session.close()
  }
}

/**
 * Under which name each content is counted, where the database was put back: a file that was counted
 * before stays in the archive when another of the same content takes its place in the ledger.
 */
async function ledgerNamesOf(session: Session, n: LedgerNames): Promise<Map<string, string>> {
  const rows = await session.query<{ sha256: string; name: string }>(
    `SELECT LOWER(HEX(sha256)) AS sha256, name FROM ${n.file}`,
  )
  return new Map(rows.map(({ sha256, name }) => [sha256, name]))
}

/** Which of the names of each content stands in the archive. */
function archivedNames(site: JudgedSite, { counted }: Expected): Map<string, string> {
  const archived = new Set(site.directories.flatMap(({ archive }) => archivedIn(archive)))
  const found = new Map<string, string>()
  for (const [sha256, { names }] of counted) {
    const name = names.find(one => archived.has(archivedName(one, Buffer.from(sha256, 'hex'))))
    if (name !== undefined) found.set(sha256, name)
  }
  return found
}

/** Every file in exactly one place, and nothing else in any. */
function wrongPlaces(
  { directories, database }: JudgedSite,
  { counted, quarantined }: Expected,
  applied: ReadonlyMap<string, string>,
): string[] {
  const contents = [...counted]
  const refused = quarantined.map(nameInPlace)
  const first = contents.map(([sha256, { names }]) =>
    nameAndHash(applied.get(sha256) ?? names[0]!, sha256),
  )
  const repeated = contents.flatMap(([sha256, { names }]) =>
    names.filter(name => name !== applied.get(sha256)).map(name => nameAndHash(name, sha256)),
  )
  const archived = directories.flatMap(({ archive }) =>
    namesAndHashes(archivedIn(archive), parseArchivedName),
  )
  const duplicates = directories.flatMap(({ duplicate }) =>
    namesAndHashes(list(duplicate), parseSettledName),
  )
  return [
    ...(database.wasChanged
      ? difference('archive/ and duplicate/', [...first, ...repeated], [...archived, ...duplicates])
      : [
          ...difference('archive/', first, archived),
          ...difference('duplicate/', repeated, duplicates),
        ]),
    ...difference(
      'quarantine/',
      refused.flatMap(name => [name, `${name}.reason.json`]),
      // One that is none of ours follows its data, unless it lost it with a journal.
      directories
        .flatMap(({ quarantine }) => listSettled(quarantine))
        .filter(name => !name.endsWith(MANIFEST_SUFFIX)),
    ),
  ]
}

function leftovers({ directories }: JudgedSite): string[] {
  return directories.flatMap(leftoversOf)
}

function leftoversOf(paths: StatePaths): string[] {
  // A manifest may have lost its data with a journal, and is swept after a day.
  const inbox = list(paths.inbox).filter(name => classifyName(name) !== 'manifest')
  const { work, runs, run, archiveDisposable, supervisorLock, supervisorStatus } = paths
  // A lock's file stays, and what a supervisor last said; MariaDB may run for this look.
  const kept = [supervisorLock, supervisorStatus, paths.mariadbSocket, paths.mariadbPid]
  return [
    ...inbox.map(name => `left in inbox/: ${name}`),
    ...archivedIn(archiveDisposable).map(name => `left in archive/disposable/: ${name}`),
    ...[work, runs, run].flatMap(path =>
      list(path)
        .filter(name => !kept.includes(join(path, name)))
        .map(name => `left in ${relative(paths.dir, path)}/: ${name}`),
    ),
  ]
}

async function wrongTotals(session: Session, n: LedgerNames, expected: Expected) {
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT ${n.id} AS id, COALESCE(${n.amount}, 0) AS amount FROM ${n.totals}`,
  )
  // What was taken back leaves rows of nothing: whose they were before cannot be known.
  const taken = totalsOf(expected.refused)
  const tell = (id: bigint, amount: bigint): string => `${id} ${amount}`
  return difference(
    'totals',
    [...expected.totals].map(([id, amount]) => tell(id, amount)),
    rows
      .map(({ id, amount }) => ({ id: BigInt(id), amount: BigInt(amount) }))
      .filter(({ id, amount }) => amount !== 0n || expected.totals.has(id) || !taken.has(id))
      .map(({ id, amount }) => tell(id, amount)),
  )
}

/** Every content exactly one row, with its numbers, under the name that the archive has. */
async function wrongFiles(
  session: Session,
  n: LedgerNames,
  { counted, refused }: Expected,
  applied: ReadonlyMap<string, string>,
) {
  const left = refused.map(({ content }) => sha256Of(content)).filter(one => !counted.has(one))
  const rows = await session.query<{ state: string; sha256: string; name: string; facts: string }>(
    `SELECT state, LOWER(HEX(sha256)) AS sha256, name,
            CONCAT_WS(' ', size_bytes, \`lines\`, amount) AS facts FROM ${n.file}`,
  )
  const told = [...counted].map(([sha256, { file, names }]) => {
    const { content } = file
    const name = applied.get(sha256) ?? names[0]
    return `applied ${sha256} ${name} ${content.length} ${linesOf(content)} ${amountOf(content)}`
  })
  return difference(
    'ledger files',
    told,
    rows
      // Recorded or not when that was found out.
      .filter(({ state, sha256 }) => state !== 'refused' || !left.includes(sha256))
      .map(({ state, sha256, name, facts }) => `${state} ${sha256} ${name} ${facts}`),
  )
}

/**
 * Every file that was not counted, with its outcome; more than once does no harm. A database that was
 * put back has lost some.
 */
async function wrongSightings(
  { database }: JudgedSite,
  session: Session,
  n: LedgerNames,
  { counted, quarantined }: Expected,
  applied: ReadonlyMap<string, string>,
) {
  const rows = await session.query<{ told: string }>(
    `SELECT DISTINCT CONCAT_WS(' ', outcome, LOWER(HEX(sha256)), name) AS told FROM ${n.sighting}`,
  )
  const duplicates = [...counted].flatMap(([sha256, { names }]) =>
    names.filter(name => name !== applied.get(sha256)).map(name => `duplicate ${sha256} ${name}`),
  )
  const refused = quarantined.map(({ name, content }) => `quarantined ${sha256Of(content)} ${name}`)
  const found = rows.map(row => row.told)
  const expected = [...duplicates, ...new Set(refused)]
  if (!database.wasChanged) {
    // One that was refused, and counted after all by the parser after a crash, when the rule had gone.
    const passed = [...counted.values()].filter(({ file }) => mayBeRefused(file, database))
    const seen = passed.flatMap(({ file, names }) =>
      names.map(name => `quarantined ${sha256Of(file.content)} ${name}`),
    )
    return difference(
      'sightings',
      expected,
      found.filter(one => !seen.includes(one)),
    )
  }
  // What was written down since is lost, and which of equal contents is first may be another one.
  return found
    .filter(one => one.startsWith('quarantined ') && !expected.includes(one))
    .map(one => `sightings: unexpected ${one}`)
}

/** The sums of all, and that each content's own are recorded, posted and counted as one. */
async function wrongSums(session: Session, n: LedgerNames, expected: Expected): Promise<string[]> {
  const [sums] = await session.query<Record<string, string | bigint>>(
    `SELECT (SELECT COALESCE(SUM(${n.amount}), 0) FROM ${n.totals}) AS totals,
            (SELECT COALESCE(SUM(amount), 0) FROM ${n.file} WHERE state = 'applied') AS files,
            (SELECT COALESCE(SUM(amount_applied), 0) FROM ${n.batch}) AS batches,
            (SELECT COUNT(*) FROM ${n.batch} WHERE state <> 'applied') AS unfinished`,
  )
  const { totals = 0, files, batches, unfinished } = sums ?? {}
  const opening = [...expected.opening.values()].reduce((sum, one) => sum + one, 0n)
  const own = BigInt(totals) - opening - expected.raised
  return [
    ...(String(own) === String(files) && String(files) === String(batches)
      ? []
      : [`sums: totals ${own}, files ${files}, batches ${batches}`]),
    ...(Number(unfinished) === 0 ? [] : [`${unfinished} batches are not finished`]),
    ...(await ledgerFaults(session, n, expected.contents)),
  ]
}

/** What tells a settled file, whether it is archived or a duplicate. */
function nameAndHash(name: string, sha256: string): string {
  return `${givenName(name, sha256)} ${sha256.slice(0, 12)}`
}

/** One name with one content is the same file here, however often it came. */
function namesAndHashes(entries: readonly string[], parse: typeof parseArchivedName): string[] {
  const told = entries.map(entry => {
    const { name, hashPrefix } = parse(entry) ?? {
      name: `not settled by us: ${entry}`,
      hashPrefix: '',
    }
    return nameAndHash(name, hashPrefix)
  })
  return [...new Set(told)]
}

const SHOWN = 10

/** As multisets. */
function difference(
  where: string,
  expected: readonly string[],
  found: readonly string[],
): string[] {
  const counts = new Map<string, number>()
  for (const one of expected) counts.set(one, (counts.get(one) ?? 0) + 1)
  for (const one of found) counts.set(one, (counts.get(one) ?? 0) - 1)
  const wrong = [...counts].filter(([, count]) => count !== 0)
  const told = wrong.map(
    ([one, count]) => `${where}: ${count > 0 ? 'missing' : 'unexpected'} ${one}`,
  )
  return wrong.length > SHOWN
    ? [...told.slice(0, SHOWN), `${where}: ${wrong.length} differences in all`]
    : told
}

/** One name with one content is the same file here, however often it came. */
function listSettled(path: string): string[] {
  return [...new Set(list(path).map(withoutSequence))]
}

function list(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter(entry => !entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    // It was never made, which is as good as empty.
    return []
  }
}
