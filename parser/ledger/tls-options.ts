import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, type SecureContextOptions } from 'node:tls'
import type { Tls } from '../../shared/database-url.ts'
import { toError } from '../../shared/errors.ts'
import { databaseUnfit } from './sql-errors.ts'

export interface TlsOptions extends SecureContextOptions {
  readonly rejectUnauthorized: boolean
  readonly servername?: string
  readonly checkServerIdentity?: (name: string, certificate: PeerCertificate) => Error | undefined
}

/**
 * What the connector is told about TLS. The host is compared here: where a connection was made before
 * TLS begins on it, the name that Node passes on need not be the one that was asked for.
 *
 * @throws CountersinkError DATABASE_UNFIT when a file cannot be read.
 */
export async function tlsOptions(tls: Tls, host: string): Promise<TlsOptions> {
  const { mode } = tls
  return {
    rejectUnauthorized: mode !== 'required',
    // An address is not sent as a name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(mode === 'required'
      ? {}
      : {
          checkServerIdentity: (_name, certificate) =>
            mode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
        }),
    ...(await pem('ca', tls.ca)),
    ...(await pem('cert', tls.cert)),
    ...(await pem('key', tls.key)),
  }
}

async function pem(
  name: 'ca' | 'cert' | 'key',
  path: string | undefined,
): Promise<SecureContextOptions> {
  if (path === undefined) return {}
  try {
    return { [name]: await readFile(path, 'utf8') }
  } catch (cause) {
    throw databaseUnfit(
      `${name} of its URL cannot be read: ${toError(cause).message}`,
      'Name a PEM file that this user may read.',
      cause,
    )
  }
}
