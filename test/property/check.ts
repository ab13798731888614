import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Session } from '../../parser/ledger/connection.ts'
import { type LedgerNames, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { classifyName, MANIFEST_SUFFIX, settledName } from '../../shared/paths.ts'
import { amountOf, linesOf, sha256Of } from '../helpers/files.ts'
import { withoutSequence } from '../helpers/invariants.ts'
import type { Expected } from './model.ts'
import type { HistorySite } from './site.ts'

/** What is looked at. */
export type JudgedSite = Pick<HistorySite, 'paths' | 'config' | 'address'> & {
  readonly database: { readonly wasChanged: boolean }
}

/**
 * What is not as it must be at the end of a history, in words; nothing when all is well. Looks at
 * directories and tables alone: a journal may have been deleted on the way.
 */
export async function faultsOf(site: JudgedSite, expected: Expected): Promise<string[]> {
  const names = ledgerNames(site.config)
  const session = await Session.open(site.address)
  try {
    const applied = site.database.wasChanged
      ? await ledgerNamesOf(session, names)
      : archivedNames(site, expected)
    return [
      ...wrongPlaces(site, expected, applied),
      ...leftovers(site),
      ...(await wrongTotals(session, names, expected)),
      ...(await wrongFiles(session, names, expected, applied)),
      ...(await wrongSightings(site, session, names, expected, applied)),
      ...(await wrongSums(session, names)),
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
  return new Map(rows.map(({ sha256, name }) => [sha256, givenName(name, sha256)]))
}

/** `recover` puts the hash behind a name that it finds taken in the inbox, as the archive does. */
function givenName(name: string, sha256: string): string {
  const suffix = settled('', sha256)
  return name.endsWith(suffix) ? name.slice(0, -suffix.length) : name
}

/** Which of the names of each content stands in the archive. */
function archivedNames(site: JudgedSite, { counted }: Expected): Map<string, string> {
  const archived = new Set(list(site.paths.archive))
  const found = new Map<string, string>()
  for (const [sha256, { names }] of counted) {
    const name = names.find(one => archived.has(settled(one, sha256)))
    if (name !== undefined) found.set(sha256, name)
  }
  return found
}

/** Every file in exactly one place, and nothing else in any. */
function wrongPlaces(
  { paths, database }: JudgedSite,
  { counted, quarantined }: Expected,
  applied: ReadonlyMap<string, string>,
): string[] {
  const contents = [...counted]
  const refused = quarantined.map(({ name, content }) => settled(name, sha256Of(content)))
  const first = contents.map(([sha256, { names }]) =>
    settled(applied.get(sha256) ?? names[0]!, sha256),
  )
  const repeated = contents.flatMap(([sha256, { names }]) =>
    names.filter(name => name !== applied.get(sha256)).map(name => settled(name, sha256)),
  )
  const [archived, duplicates] = [listSettled(paths.archive), listSettled(paths.duplicate)]
  return [
    ...(database.wasChanged
      ? difference(
          'archive/ and duplicate/',
          [...first, ...repeated],
          [...archived, ...duplicates].map(name => name.replace(/(\.[0-9a-f]{16})\1$/, '$1')),
        )
      : [
          ...difference('archive/', first, archived),
          ...difference('duplicate/', repeated, duplicates),
        ]),
    ...difference(
      'quarantine/',
      refused.flatMap(name => [name, `${name}.reason.json`]),
      // One that is none of ours follows its data, unless it lost it with a journal.
      listSettled(paths.quarantine).filter(name => !name.endsWith(MANIFEST_SUFFIX)),
    ),
  ]
}

function leftovers({ paths }: JudgedSite): string[] {
  // A manifest may have lost its data with a journal, and is swept after a day.
  const inbox = list(paths.inbox).filter(name => classifyName(name) !== 'manifest')
  const { work, runs, run, archiveDisposable, supervisorLock, supervisorStatus } = paths
  // A lock's file stays, and what a supervisor last said; MariaDB may run for this look.
  const kept = [supervisorLock, supervisorStatus, paths.mariadbSocket, paths.mariadbPid]
  return [
    ...inbox.map(name => `left in inbox/: ${name}`),
    ...[work, runs, run, archiveDisposable].flatMap(path =>
      list(path)
        .filter(name => !kept.includes(join(path, name)))
        .map(name => `left in ${relative(paths.dir, path)}/: ${name}`),
    ),
  ]
}

async function wrongTotals(session: Session, n: LedgerNames, expected: Expected) {
  const rows = await session.query<{ id: bigint; amount: bigint }>(
    `SELECT ${n.id} AS id, ${n.amount} AS amount FROM ${n.totals}`,
  )
  const tell = (id: bigint, amount: bigint): string => `${id} ${amount}`
  return difference(
    'totals',
    [...expected.totals].map(([id, amount]) => tell(id, amount)),
    rows.map(({ id, amount }) => tell(id, amount)),
  )
}

/** Every content exactly one row, with its numbers, under the name that the archive has. */
async function wrongFiles(
  session: Session,
  n: LedgerNames,
  { counted }: Expected,
  applied: ReadonlyMap<string, string>,
) {
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
    rows.map(
      ({ state, sha256, name, facts }) => `${state} ${sha256} ${givenName(name, sha256)} ${facts}`,
    ),
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
  if (!database.wasChanged) return difference('sightings', expected, found)
  // What was written down since is lost, and which of equal contents is first may be another one.
  return found
    .filter(one => one.startsWith('quarantined ') && !expected.includes(one))
    .map(one => `sightings: unexpected ${one}`)
}

async function wrongSums(session: Session, n: LedgerNames): Promise<string[]> {
  const [sums] = await session.query<Record<string, string | bigint>>(
    `SELECT (SELECT COALESCE(SUM(${n.amount}), 0) FROM ${n.totals}) AS totals,
            (SELECT COALESCE(SUM(amount), 0) FROM ${n.file}) AS files,
            (SELECT COALESCE(SUM(amount_applied), 0) FROM ${n.batch}) AS batches,
            (SELECT COUNT(*) FROM ${n.batch}
              WHERE state <> 'applied' OR pairs_applied <> pairs_planned
                 OR amount_applied <> amount_planned OR ended_at IS NULL) AS unfinished,
            (SELECT COUNT(*) FROM ${n.file} WHERE batch_id NOT IN (SELECT id FROM ${n.batch})) AS loose`,
  )
  const { totals, files, batches, unfinished, loose } = sums ?? {}
  return [
    ...(String(totals) === String(files) && String(files) === String(batches)
      ? []
      : [`sums: totals ${totals}, files ${files}, batches ${batches}`]),
    ...(Number(unfinished) === 0 ? [] : [`${unfinished} batches are not finished as planned`]),
    ...(Number(loose) === 0 ? [] : [`${loose} files have no batch`]),
  ]
}

function settled(name: string, sha256: string): string {
  return settledName(name, Buffer.from(sha256, 'hex'))
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
