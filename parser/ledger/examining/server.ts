import { isOnThisHost, parseDatabaseUrl } from '../../../shared/database-url.ts'
import { explainError } from '../../../shared/errors.ts'
import { type Finding, fail, ok, warn } from '../../../shared/findings.ts'
import { formatBytes, formatCount } from '../../../shared/numbers.ts'
import type { Session } from '../connection.ts'
import { lookAtServer, type ServerLook } from '../schema/server.ts'
import type { DatabaseAddress } from '../way-in.ts'
import { lookedInSql } from './sql-findings.ts'

/** The connection and its server, whatever is in the database. */
export async function examineServer(session: Session): Promise<readonly Finding[]> {
  const looks = await lookAtServer(session).then(
    found => found.map(findingOf),
    async error => [await lookedInSql('server settings', () => Promise.reject(error))],
  )
  return [
    await lookedInSql('encryption', () => lookAtEncryption(session)),
    ...looks,
    // What is not so is refused when the connection is made.
    ok('session settings', 'sql_mode, isolation, time zone and limits are as they were set'),
    lookAtPackets(session),
    await lookedInSql('connections left', () => lookAtConnections(session)),
    await lookedInSql('server clock', () => lookAtClock(session)),
  ]
}

function findingOf({ what, found, refused, warning }: ServerLook): Finding {
  const check = `server: ${what}`
  if (refused !== undefined) return fail(check, explainError(refused), ...refused.mend)
  return warning === undefined ? ok(check, found) : warn(check, warning.text, warning.mend)
}

async function lookAtEncryption(session: Session): Promise<string | Finding> {
  const [row] = await session.query<{ Value: string }>("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
  const { isLocal, mode } = wayTo(session.address)
  const cipher = row?.Value ?? ''
  if (cipher === '') {
    return isLocal
      ? 'none, and none is needed: the server is on this host'
      : warn(
          'encryption',
          'none: whoever is on the way can read and change what is sent. Add ?ssl=verify-full&ca=FILE to the URL',
        )
  }
  if (mode === 'required' && !isLocal) {
    return warn(
      'encryption',
      `${cipher}, with whoever answers: ssl=required looks at no certificate. Use ssl=verify-full&ca=FILE`,
    )
  }
  return mode === undefined ? cipher : `${cipher}, ssl=${mode}`
}

function wayTo(address: DatabaseAddress): { isLocal: boolean; mode: string | undefined } {
  const parsed = 'url' in address ? parseDatabaseUrl(address.url) : undefined
  if (parsed === undefined || 'wrong' in parsed) return { isLocal: true, mode: undefined }
  return { isLocal: isOnThisHost(parsed), mode: parsed.tls?.mode }
}

const PACKET_BYTES_MIN = 2 ** 20

function lookAtPackets({ packetBytesMax }: Session): Finding {
  const found = `max_allowed_packet=${formatBytes(packetBytesMax)}`
  return packetBytesMax >= PACKET_BYTES_MIN
    ? ok('statement size', found)
    : warn(
        'statement size',
        `${found}: sums are sent in many small statements`,
        'SET GLOBAL max_allowed_packet = 16777216;',
      )
}

/** Of whoever counts, of files and of usage, for each one that asks what a statement waits for, and a question beside. */
const CONNECTIONS_NEEDED = 7

async function lookAtConnections(session: Session): Promise<string | Finding> {
  const [limits] = await session.query<{ most: bigint | number; ofUser: bigint | number }>(
    'SELECT @@max_connections AS most, @@SESSION.max_user_connections AS ofUser',
  )
  const [used] = await session.query<{ Value: string }>(
    "SHOW GLOBAL STATUS LIKE 'Threads_connected'",
  )
  const [most, ofUser] = [Number(limits?.most), Number(limits?.ofUser)]
  const left = most - Number(used?.Value)
  if (ofUser > 0 && ofUser < CONNECTIONS_NEEDED) {
    const [account] = await session.query<{ name: string }>('SELECT CURRENT_USER() AS name')
    return warn(
      'connections left',
      `this account may have ${ofUser}, and up to ${CONNECTIONS_NEEDED} are used`,
      `ALTER USER ${quotedUser(account?.name ?? '')} WITH MAX_USER_CONNECTIONS ${2 * CONNECTIONS_NEEDED};`,
    )
  }
  return left >= CONNECTIONS_NEEDED
    ? `${formatCount(left)} of ${formatCount(most)}`
    : warn(
        'connections left',
        `${left} of ${most}, and up to ${CONNECTIONS_NEEDED} are used`,
        `SET GLOBAL max_connections = ${most + 10 * CONNECTIONS_NEEDED};`,
      )
}

function quotedUser(name: string): string {
  const at = name.lastIndexOf('@')
  return [name.slice(0, at), name.slice(at + 1)].map(one => `'${one}'`).join('@')
}

const CLOCKS_APART_MS_MAX = 5_000

async function lookAtClock(session: Session): Promise<string | Finding> {
  const sentMs = Date.now()
  const [row] = await session.query<{ seconds: string; zone: string }>(
    'SELECT UNIX_TIMESTAMP(NOW(6)) AS seconds, @@global.time_zone AS zone',
  )
  const oursMs = (sentMs + Date.now()) / 2
  const apartMs = Math.round(Number(row?.seconds) * 1_000 - oursMs)
  const zone = `its time zone (${row?.zone}) does not matter, times are in UTC`
  if (Math.abs(apartMs) <= CLOCKS_APART_MS_MAX) return `as here; ${zone}`
  const how = `${Math.round(Math.abs(apartMs) / 1_000)} s ${apartMs > 0 ? 'ahead of' : 'behind'}`
  return warn('server clock', `it is ${how} this host's`, 'timedatectl set-ntp true')
}
