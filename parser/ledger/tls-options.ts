import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate, type SecureContextOptions } from 'node:tls'
import type { Tls } from '../../shared/database-url.ts'
import { type CountersinkError, toError } from '../../shared/errors.ts'
import { shellWord } from '../../shared/printable.ts'
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
 * The files are read for each connection, so that they can be renewed under a running service, and
 * looked at first: what is wrong with them would otherwise come back as the server's or OpenSSL's
 * riddle, or (a file of authorities without any) as a mistrust of everybody.
 *
 * @throws CountersinkError DATABASE_UNFIT when a file cannot be read, or is not what it must be.
 */
export async function tlsOptions(tls: Tls, host: string): Promise<TlsOptions> {
  const { mode } = tls
  const [ca, cert, key] = await Promise.all([
    pem('ca', tls.ca),
    pem('cert', tls.cert),
    pem('key', tls.key),
  ])
  if (ca !== undefined) checkCertificates('ca', ca)
  if (cert !== undefined && key !== undefined) checkPair(cert, key)
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
    ...(ca === undefined ? {} : { ca: ca.text }),
    ...(cert === undefined ? {} : { cert: cert.text }),
    ...(key === undefined ? {} : { key: key.text }),
  }
}

interface Pem {
  readonly path: string
  readonly text: string
}

type Parameter = 'ca' | 'cert' | 'key'

async function pem(name: Parameter, path: string | undefined): Promise<Pem | undefined> {
  if (path === undefined) return undefined
  try {
    return { path, text: await readFile(path, 'utf8') }
  } catch (cause) {
    throw databaseUnfit(
      `${name} of its URL cannot be read: ${toError(cause).message}`,
      'Name a PEM file that this user may read.',
      { cause, mend: [`ls -ld ${shellWord(path)}`] },
    )
  }
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** One that is in force is enough: a bundle keeps old authorities for a while. */
function checkCertificates(name: Parameter, file: Pem): X509Certificate {
  const found = (file.text.match(CERTIFICATE) ?? []).map(text => certificate(name, file, text))
  const [first] = found
  if (first === undefined) {
    throw unfit(
      name,
      file,
      'holds no certificate in PEM',
      'Name a file with -----BEGIN CERTIFICATE-----.',
    )
  }
  const now = Date.now()
  const inForce = found.find(
    one => Date.parse(one.validFrom) <= now && now < Date.parse(one.validTo),
  )
  if (inForce !== undefined) return first
  const isOld = Date.parse(first.validTo) <= now
  throw unfit(
    name,
    file,
    isOld ? `has expired, on ${first.validTo}` : `is in force from ${first.validFrom} on only`,
    isOld ? 'Have it renewed.' : 'Wait until then, or set the clock.',
  )
}

function certificate(name: Parameter, file: Pem, text: string): X509Certificate {
  try {
    return new X509Certificate(text)
  } catch (cause) {
    const why = `holds a certificate that cannot be understood (${toError(cause).message})`
    throw unfit(name, file, why, 'Put the right file in its place.')
  }
}

function checkPair(cert: Pem, key: Pem): void {
  const [own] = cert.text.match(CERTIFICATE) ?? []
  checkCertificates('cert', own === undefined ? cert : { ...cert, text: own })
  let isPair: boolean
  try {
    isPair = new X509Certificate(own ?? '').checkPrivateKey(createPrivateKey(key.text))
  } catch (cause) {
    const why = `holds no private key that can be read (${toError(cause).message})`
    throw unfit('key', key, why, 'Name a PEM file with a private key that has no passphrase.')
  }
  if (isPair) return
  throw unfit('key', key, `is not the key of ${cert.path}`, 'Name the two that were made together.')
}

function unfit(name: Parameter, { path }: Pem, how: string, advice: string): CountersinkError {
  return databaseUnfit(`${name} of its URL, ${path}, ${how}`, advice)
}
