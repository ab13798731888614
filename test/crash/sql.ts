import { Session } from '../../parser/ledger/connection.ts'
import { openLedger } from '../../parser/ledger/schema/opening.ts'
import { createLedger, type LedgerTable, ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { withSession } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import type { Teardown } from '../helpers/processes.ts'
import type { Site } from '../helpers/state-dir.ts'

/** A session of somebody else, for as long as the test takes. */
export async function openForeign(t: Teardown, site: Site): Promise<Session> {
  const session = await Session.open(site.address)
  t.teardown(() => session.close())
  return session
}

export interface BatchRow {
  readonly state: 'applying' | 'retreating' | 'blocked' | 'applied'
  readonly cursor: bigint | null
  readonly pairsPlanned: bigint
  readonly pairsApplied: bigint
  readonly files: bigint
}

/** Every batch, in the order of their beginnings. */
export function batchesOf(site: Site): Promise<BatchRow[]> {
  const n = ledgerNames(site.config)
  return withSession(site, session =>
    session.query<BatchRow>(
      `SELECT state, cursor_id AS \`cursor\`, pairs_planned AS pairsPlanned,
              pairs_applied AS pairsApplied,
              (SELECT COUNT(*) FROM ${n.posting} p WHERE p.batch_id = b.id) AS files
         FROM ${n.batch} b ORDER BY begun_at`,
    ),
  )
}

/** The one batch that has begun and not ended. */
export async function openBatchOf(site: Site): Promise<BatchRow> {
  const open = (await batchesOf(site)).filter(({ state }) => state !== 'applied')
  if (open.length !== 1) throw new Error(`${open.length} batches are open`)
  return open[0]!
}

/** How many recorded files wait to be counted. */
export async function waitingOf(site: Site): Promise<number> {
  const n = ledgerNames(site.config)
  const rows = await withSession(site, session => session.query(`SELECT 1 FROM ${n.todo}`))
  return rows.length
}

/** Somebody else counts, and is away: what is recorded meanwhile waits until this is released. */
export async function holdLease(site: Site): Promise<{ release(): Promise<void> }> {
  const n = ledgerNames(site.config)
  await withSession(site, session => openLedger(session, site.config))
  const changeUntil = (hours: number): Promise<void> =>
    withSession(site, async session => {
      await session.execute(
        `UPDATE ${n.lease} SET epoch = epoch + 1, holder = REPEAT('x', 16),
                until = UTC_TIMESTAMP(3) + INTERVAL ? HOUR`,
        [hours],
      )
    })
  await changeUntil(1)
  return { release: () => changeUntil(-1) }
}

/** What somebody else does to a total behind our back. @returns what it was */
export function setTotal(
  site: Site,
  id: bigint,
  total: bigint | undefined,
): Promise<bigint | undefined> {
  return withSession(site, async session => {
    const [row] = await session.query<{ total: bigint }>(
      'SELECT resource_consumption AS total FROM consumption WHERE id = ?',
      [id],
    )
    await session.execute('UPDATE consumption SET resource_consumption = ? WHERE id = ?', [
      ...[total, id],
    ])
    return row?.total
  })
}

/**
 * InnoDB answers from a copy of its transactions and locks, and makes a new copy only when nobody
 * has read the old one for 100 ms: polled more often than that, a wait is never seen.
 */
const LOCK_WAIT_POLL_MS = 150

/** The connection that waits for a row which `holder` has locked. */
export function untilLockWait(holder: Session): Promise<bigint> {
  const findWaiting = async (): Promise<bigint | undefined> => {
    const [row] = await holder.query<{ id: bigint }>(
      `SELECT t.trx_mysql_thread_id AS id FROM information_schema.innodb_trx t
         JOIN information_schema.innodb_lock_waits w ON w.requesting_trx_id = t.trx_id
         JOIN information_schema.innodb_trx h ON h.trx_id = w.blocking_trx_id
        WHERE h.trx_mysql_thread_id = CONNECTION_ID()`,
    )
    return row === undefined ? undefined : BigInt(row.id)
  }
  return eventually('somebody waits for the row', findWaiting, { pollMs: LOCK_WAIT_POLL_MS })
}

/** Somebody else holds a row that a batch waits for. */
export interface Trouble {
  readonly foreign: Session
  /** The batch's connection. */
  readonly waiting: bigint
  /** Of all consumers, ascending: a chunk of the batch is 16 of them. */
  readonly ids: readonly bigint[]
}

/**
 * Holds a row of the third chunk of the file that is brought in, a `chunkedFile` like the one that
 * must be counted already, until the batch waits for it.
 */
export async function waitInThirdChunk(
  t: Teardown,
  site: Site,
  bringIn: () => void,
): Promise<Trouble> {
  const foreign = await openForeign(t, site)
  const rows = await foreign.query<{ id: bigint }>('SELECT id FROM consumption ORDER BY id')
  const ids = rows.map(({ id }) => BigInt(id))
  await foreign.execute('CREATE TABLE IF NOT EXISTS heavy (n INT PRIMARY KEY) ENGINE=InnoDB')
  await foreign.execute('START TRANSACTION')
  await foreign.execute('INSERT INTO heavy SELECT seq FROM seq_1_to_2000')
  await foreign.execute('UPDATE consumption SET resource_consumption = 1 WHERE id = ?', [ids[47]])
  bringIn()
  const waiting = await untilLockWait(foreign)
  const { pairsApplied, state } = await openBatchOf(site)
  if (state !== 'applying' || pairsApplied !== 32n) {
    throw new Error(`the batch is ${state}, ${pairsApplied} pairs are applied`)
  }
  return { waiting, ids, foreign }
}

/** What the whole database holds now; `restore` makes it hold just that again. */
export async function backUp(site: Site): Promise<{ restore(): Promise<void> }> {
  const n = ledgerNames(site.config)
  const tables = Object.keys(createLedger(n)).map(table => n[table as LedgerTable])
  tables.push(n.totals)
  const copyOf = (table: string): string => table.replace(/^`/, '`copy_of_')
  await withSession(site, async session => {
    for (const table of tables) {
      await session.execute(`CREATE TABLE ${copyOf(table)} LIKE ${table}`)
      await session.execute(`INSERT INTO ${copyOf(table)} SELECT * FROM ${table}`)
    }
  })
  return {
    restore: () =>
      withSession(site, async session => {
        for (const table of tables) {
          await session.execute(`DROP TABLE ${table}`)
          await session.execute(`RENAME TABLE ${copyOf(table)} TO ${table}`)
        }
      }),
  }
}

/** Ends every connection to a site's database, as the end of its server would. */
export function cutConnections(site: Site): Promise<void> {
  return withSession(site, async session => {
    const others = await session.query<{ id: bigint }>(
      `SELECT id FROM information_schema.processlist
        WHERE db = DATABASE() AND id <> CONNECTION_ID()`,
    )
    for (const { id } of others) await session.execute(`KILL ${id}`)
  })
}
