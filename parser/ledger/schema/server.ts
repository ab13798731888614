import { CountersinkError } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import { databaseUnfit } from '../sql-errors.ts'

interface ServerSettings {
  readonly version: string
  readonly flushLog: bigint | number
  readonly doublewrite: string
  readonly logBin: bigint | number
  readonly binlogFormat: string
  readonly syncBinlog: bigint | number
  readonly readOnly: string
  readonly innodbReadOnly: string
}

/** One thing that was looked at, and what is wrong with it. */
export interface ServerLook {
  readonly what: string
  readonly found: string
  /** Nothing may be written. */
  readonly refused?: CountersinkError
  /** It can be worked with, but somebody should know. */
  readonly warning?: { readonly text: string; readonly mend: string }
}

/** What must be true of a server before a number is written; nothing is changed by itself. */
export async function lookAtServer(session: Session): Promise<readonly ServerLook[]> {
  const [settings] = await session.query<ServerSettings>(
    `SELECT @@version AS version, @@innodb_flush_log_at_trx_commit AS flushLog,
            CAST(@@innodb_doublewrite AS CHAR) AS doublewrite,
            @@log_bin AS logBin, @@binlog_format AS binlogFormat, @@sync_binlog AS syncBinlog,
            ${READ_ONLY} AS readOnly, CAST(@@global.innodb_read_only AS CHAR) AS innodbReadOnly`,
  )
  if (settings === undefined) throw databaseUnfit('it does not tell its settings', '')
  return [
    lookAtVersion(settings),
    lookAtFlushing(settings),
    lookAtDoublewrite(settings),
    lookAtBinlog(settings),
    lookWhetherWritable(settings),
  ]
}

/**
 * @returns what deserves a warning.
 * @throws CountersinkError DATABASE_UNFIT; DATABASE_UNAVAILABLE while it is read only.
 */
export async function checkServer(session: Session): Promise<readonly string[]> {
  const looks = await lookAtServer(session)
  for (const { refused } of looks) if (refused !== undefined) throw refused
  return looks.flatMap(({ warning }) => (warning === undefined ? [] : [warning.text]))
}

function lookAtVersion({ version }: ServerSettings): ServerLook {
  const [major = 0, minor = 0] = version.split('.').map(Number.parseFloat)
  const look = { what: 'version', found: version }
  if (major > 10 || (major === 10 && minor >= 5)) return look
  const refused = databaseUnfit(`its version is ${version}`, 'Version 10.5 or newer is needed.')
  return { ...look, refused }
}

function lookAtFlushing({ flushLog }: ServerSettings): ServerLook {
  const look = { what: 'durable commits', found: `innodb_flush_log_at_trx_commit=${flushLog}` }
  if (Number(flushLog) === 1) return look
  const refused = databaseUnfit(
    `innodb_flush_log_at_trx_commit is ${flushLog}: a commit would not survive a power cut`,
    'Set innodb_flush_log_at_trx_commit=1, also in the file that the server reads at its start.',
    { mend: ['SET GLOBAL innodb_flush_log_at_trx_commit = 1;'] },
  )
  return { ...look, refused }
}

function lookAtDoublewrite({ doublewrite }: ServerSettings): ServerLook {
  const look = { what: 'whole pages', found: `innodb_doublewrite=${doublewrite}` }
  if (!/^(0|OFF)$/i.test(doublewrite)) return look
  const text = `innodb_doublewrite is ${doublewrite}: a page that a power cut has torn is lost, unless the filesystem writes whole ones`
  const mend =
    "printf '[mariadbd]\\ninnodb_doublewrite=ON\\n' >/etc/mysql/mariadb.conf.d/99-countersink.cnf && systemctl restart mariadb"
  return { ...look, warning: { text, mend } }
}

function lookAtBinlog({ logBin, binlogFormat, syncBinlog }: ServerSettings): ServerLook {
  if (Number(logBin) !== 1) return { what: 'binary log', found: 'off' }
  const found = `binlog_format=${binlogFormat}, sync_binlog=${syncBinlog}`
  const look = { what: 'binary log', found }
  if (binlogFormat === 'STATEMENT') {
    const refused = databaseUnfit(
      'binlog_format is STATEMENT, which READ COMMITTED cannot be logged in',
      'Set binlog_format=ROW or MIXED, also in the file that the server reads at its start.',
      { mend: ["SET GLOBAL binlog_format = 'ROW';"] },
    )
    return { ...look, refused }
  }
  if (Number(syncBinlog) === 1) return look
  const text = `sync_binlog is ${syncBinlog}: replicas may miss commits after a power cut`
  return { ...look, warning: { text, mend: 'SET GLOBAL sync_binlog = 1;' } }
}

function lookWhetherWritable({ readOnly, innodbReadOnly }: ServerSettings): ServerLook {
  const look = { what: 'writable', found: `read_only=${readOnly}` }
  const refused = readOnlyError(readOnly, 'read_only', ['SET GLOBAL read_only = 0;'])
  const forGood = readOnlyError(innodbReadOnly, 'innodb_read_only')
  const why = refused ?? forGood
  return why === undefined ? look : { ...look, refused: why }
}

/** As text in every version: 0 and 1, or (from 12 on) OFF, ON, NO_LOCK, NO_LOCK_NO_ADMIN. */
export const READ_ONLY = 'CAST(@@global.read_only AS CHAR)'

/**
 * For the beginning of each chunk: a server that was made read only, because another is the primary
 * now, still lets an administrator's account write, on a connection that was there before.
 *
 * @throws CountersinkError DATABASE_UNAVAILABLE
 */
export async function assertWritable(session: Session): Promise<void> {
  const [row] = await session.query<{ readOnly: string }>(`SELECT ${READ_ONLY} AS readOnly`)
  assertNotReadOnly(row?.readOnly, 'read_only')
}

/** @throws CountersinkError DATABASE_UNAVAILABLE */
export function assertNotReadOnly(value: string | undefined, name: string): void {
  const error = readOnlyError(value, name)
  if (error !== undefined) throw error
}

function readOnlyError(
  value: string | undefined,
  name: string,
  mend: readonly string[] = [],
): CountersinkError | undefined {
  if (value !== undefined && /^(0|OFF)$/i.test(value)) return undefined
  return new CountersinkError(
    'DATABASE_UNAVAILABLE',
    `the server is read only (${name} is ${value}): it is a replica or is being switched over`,
    { mend },
  )
}
