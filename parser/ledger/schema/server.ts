import type { Session } from '../connection.ts'
import { databaseUnavailable, databaseUnfit } from '../sql-errors.ts'

interface ServerSettings {
  readonly version: string
  readonly flushLog: bigint | number
  readonly logBin: bigint | number
  readonly binlogFormat: string
  readonly syncBinlog: bigint | number
  readonly readOnly: string
  readonly innodbReadOnly: string
}

/**
 * What must be true of a server before a number is written; nothing is changed by itself.
 *
 * @returns what deserves a warning.
 * @throws CountersinkError DATABASE_UNFIT; DATABASE_UNAVAILABLE while it is read only.
 */
export async function checkServer(session: Session): Promise<readonly string[]> {
  const [settings] = await session.query<ServerSettings>(
    `SELECT @@version AS version, @@innodb_flush_log_at_trx_commit AS flushLog,
            @@log_bin AS logBin, @@binlog_format AS binlogFormat, @@sync_binlog AS syncBinlog,
            ${READ_ONLY} AS readOnly, CAST(@@global.innodb_read_only AS CHAR) AS innodbReadOnly`,
  )
  if (settings === undefined) throw databaseUnfit('it does not tell its settings', '')
  const [major = 0, minor = 0] = settings.version.split('.').map(Number.parseFloat)
  if (major < 10 || (major === 10 && minor < 5)) {
    throw databaseUnfit(`its version is ${settings.version}`, 'Version 10.5 or newer is needed.')
  }
  if (Number(settings.flushLog) !== 1) {
    throw databaseUnfit(
      `innodb_flush_log_at_trx_commit is ${settings.flushLog}: a commit would not survive a power cut`,
      'Set innodb_flush_log_at_trx_commit=1.',
    )
  }
  if (Number(settings.logBin) === 1 && settings.binlogFormat === 'STATEMENT') {
    throw databaseUnfit(
      'binlog_format is STATEMENT, which READ COMMITTED cannot be logged in',
      'Set binlog_format=ROW or MIXED.',
    )
  }
  assertNotReadOnly(settings.readOnly, 'read_only')
  assertNotReadOnly(settings.innodbReadOnly, 'innodb_read_only')
  if (Number(settings.logBin) === 1 && Number(settings.syncBinlog) !== 1) {
    return [`sync_binlog is ${settings.syncBinlog}: replicas may miss commits after a power cut`]
  }
  return []
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
  if (value !== undefined && /^(0|OFF)$/i.test(value)) return
  throw databaseUnavailable(
    `the server is read only (${name} is ${value}): it is a replica or is being switched over`,
  )
}
