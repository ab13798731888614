/**
 * What the service would find in its database: each thing that is looked at on a new connection, by the
 * same functions, one by one; and what a start does not look at: how many connections are left, how the
 * server's clock goes, whether the other hosts could take over.
 *
 * Nothing is written or made. Rights are tried by statements that find no row, and no lock is waited for
 * longer than a moment. What is not answered in time was not looked at.
 */

import type { Config } from '../../../shared/config.ts'
import { isOnThisHost, parseDatabaseUrl } from '../../../shared/database-url.ts'
import {
  CountersinkError,
  describeError,
  explainError,
  hasCode,
  toError,
} from '../../../shared/errors.ts'
import { type Finding, fail, notLookedAt, ok, warn } from '../../../shared/findings.ts'
import { shellWord } from '../../../shared/printable.ts'
import { Session } from '../connection.ts'
import { type Host, hostsOf } from '../hosts.ts'
import { assertThisLedger, findLedger, findMeta, tablesThere } from '../schema/ledger-there.ts'
import { quotedAccount } from '../schema/printed.ts'
import { assertWritable } from '../schema/server.ts'
import { ledgerNames, quotedIdentifier } from '../schema/tables.ts'
import { checkWitnesses } from '../schema/witnesses.ts'
import { sqlNumber } from '../sql-errors.ts'
import type { DatabaseAddress } from '../way-in.ts'
import { examineLedger, type KnownLedger, madeByAdministrator } from './ledger.ts'
import { examineServer } from './server.ts'
import { lookedInSql } from './sql-findings.ts'

export interface Examination {
  readonly address: DatabaseAddress
  readonly config: Config
  readonly known: KnownLedger
  /** Of several hosts the one that the service uses now. */
  readonly hostInUse: string | undefined
  /** All of it. */
  readonly withinMs: number
}

export async function examineDatabase(examination: Examination): Promise<readonly Finding[]> {
  const { address, config, known, withinMs } = examination
  const untilMs = performance.now() + withinMs
  const sessions: Session[] = []
  const timer = setTimeout(() => {
    for (const session of sessions) session.destroy()
  }, withinMs)
  try {
    // One that says nothing must not use up the time for the others.
    const connectMs = withinMs * CONNECTING
    const visits = await Promise.all(
      hostsOf(address).map(host => visit(host, connectMs, one => sessions.push(one))),
    )
    const used = await chosen(visits, examination)
    const findings = visits.map(one => findingOf(one, used, visits.length))
    if (used?.session === undefined) {
      return [
        ...findings,
        notLookedAt('server, ledger, totals and rights', 'there is no connection'),
      ]
    }
    const { session } = used
    await session.execute(`SET SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}`).catch(() => {
      // What it says of that it says of the next statement too.
    })
    const others = visits.filter(one => one !== used).map(({ host }) => host)
    return [
      ...findings,
      ...(await examineOthers(visits, session, examination)),
      ...(await examineServer(session)),
      ...(await examineLedger(session, {
        config,
        known,
        others,
        withinMs: Math.max(LEAST_MS, untilMs - performance.now()),
      })),
    ]
  } finally {
    clearTimeout(timer)
    for (const session of sessions) session.destroy()
  }
}

/** Whether the ledger that is gone on with stands on the other hosts, too. */
async function examineOthers(
  visits: readonly Visit[],
  used: Session,
  { config, known }: Examination,
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { host, session } of visits) {
    if (session === undefined || session === used) continue
    const check = `ledger on ${host.name}`
    findings.push(
      await lookedInSql(check, async () => {
        const [ours, theirs] = [await findLedger(used, config), await findLedger(session, config)]
        if (ours === undefined && theirs === undefined) return 'none yet, as on the one in use'
        const lack = await assertCounted(session, config, known).then(
          () => undefined,
          (error: unknown) => describeError(error),
        )
        if (ours === theirs) return lack === undefined ? `${ours}` : warn(check, lack)
        const what = theirs === undefined ? 'there is none' : `it is another one, ${theirs}`
        return warn(check, `${what}: make this host a replica, or nothing can go on there`)
      }),
    )
  }
  return findings
}

const CONNECTING = 2 / 3
const LEAST_MS = 100
const LOCK_WAIT_SECONDS = 1

/** The host that the service would use: one that can be written to, and that is not behind. */
async function chosen(
  visits: readonly Visit[],
  { config, known, hostInUse }: Examination,
): Promise<Visit | undefined> {
  if (visits.length === 1) return visits[0]
  const writable = visits.filter(({ isWritable }) => isWritable)
  const inUse = writable.find(({ host }) => host.name === hostInUse)
  if (inUse !== undefined) return inUse
  for (const visit of writable) {
    if (await isTheLedger(visit.session!, config, known)) return visit
  }
  return writable[0]
}

async function isTheLedger(session: Session, config: Config, known: KnownLedger): Promise<boolean> {
  try {
    const meta = await findMeta(session, config, await tablesThere(session, config), known.uuid)
    if (meta === undefined) return true
    assertThisLedger(meta, config, known.uuid)
    await assertCounted(session, config, known)
    return true
  } catch {
    // What is wrong is told where the host is looked at.
    return false
  }
}

function assertCounted(session: Session, config: Config, { applied }: KnownLedger): Promise<void> {
  return checkWitnesses(session, ledgerNames(config), applied)
}

/** A host, and what came of going there. */
interface Visit {
  readonly host: Host
  readonly session: Session | undefined
  readonly isWritable: boolean
  readonly tookMs: number
  /** Why it cannot be used. */
  readonly error: Error | undefined
  /** It has not answered in time, which is not to say that it does not. */
  readonly isSilent: boolean
}

async function visit(
  host: Host,
  withinMs: number,
  onOpen: (session: Session) => void,
): Promise<Visit> {
  const startedMs = performance.now()
  let session: Session | undefined
  let error: Error | undefined
  try {
    session = await Session.open(host.address, withinMs)
    onOpen(session)
    await assertWritable(session)
  } catch (thrown) {
    error = toError(thrown)
  }
  const tookMs = performance.now() - startedMs
  const isSilent = session === undefined && tookMs >= withinMs - NEARLY_MS
  return { host, session, isWritable: error === undefined, tookMs, error, isSilent }
}

const NEARLY_MS = 100

function findingOf(visit: Visit, used: Visit | undefined, hosts: number): Finding {
  const { host, session, tookMs, error, isSilent } = visit
  const check = hosts === 1 ? 'database' : `host ${host.name}`
  if (isSilent)
    return notLookedAt(check, `${host.name} answers nothing within ${Math.round(tookMs)} ms`)
  const answered = `${host.name} answers, after ${Math.round(tookMs)} ms`
  if (error === undefined) return ok(check, visit === used ? `${answered}; it is used` : answered)
  const mend = mendOf(error, host.address)
  if (session === undefined) {
    const text = explainError(error)
    // The service may have taken what this account is allowed.
    if (NONE_LEFT.has(sqlNumber(error.cause))) return notLookedAt(check, text, ...mend)
    return used === undefined || visit === used
      ? fail(check, text, ...mend)
      : warn(check, text, ...mend)
  }
  // Of a single one it is told with the server's settings.
  if (visit === used) return ok(check, answered)
  return used === undefined
    ? fail(check, explainError(error), 'SET GLOBAL read_only = 0;')
    : ok(check, `${answered}; read only: it may take over`)
}

/** Connections of this account. */
const NONE_LEFT: ReadonlySet<number> = new Set([1203, 1226])

/** What an administrator does about what the server says to a newcomer. */
function mendOf(error: Error, address: DatabaseAddress): readonly string[] {
  if (error instanceof CountersinkError && error.mend.length > 0) return error.mend
  const parsed = 'url' in address ? parseDatabaseUrl(address.url) : undefined
  if (parsed === undefined || 'wrong' in parsed) return []
  const { user, database } = parsed
  // Where the server sees us come from; of an account for another place '%' is the likeliest.
  const isLocal = /'@'localhost'/.test(describeError(error))
  const host = isLocal ? 'localhost' : '%'
  const account = quotedAccount({ user, host })
  switch (sqlNumber(error.cause)) {
    case 1040:
      return ['SET GLOBAL max_connections = 200;']
    case 1044:
      return [madeByAdministrator(database, isLocal ? `${user}@localhost` : user)]
    case 1045:
    case 1698:
    case 1820:
    case 1862:
      return [`ALTER USER ${account} IDENTIFIED BY '…';`]
    case 1049:
      return [`CREATE DATABASE ${quotedIdentifier(database)};`]
    case 1129:
      return ['FLUSH HOSTS;']
    case 1203:
    case 1226:
      return [`ALTER USER ${account} WITH MAX_USER_CONNECTIONS 0;`]
    case 4151:
      return [`ALTER USER ${account} ACCOUNT UNLOCK;`]
    default:
      // Files of ours may be missing, too.
      if (!hasCode(error, 'DATABASE_UNAVAILABLE')) return []
      if (!/ECONNREFUSED|ENOENT/.test(String(error.cause))) return []
      return [isOnThisHost(parsed) ? START : `ssh ${shellWord(parsed.host)} ${START}`]
  }
}

const START = 'systemctl start mariadb'
