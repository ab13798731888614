import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import t from 'tap'
import { Session } from '../../parser/ledger/connection.ts'
import {
  commonArguments,
  ensureDataDirectory,
  findServerProgram,
  greets,
} from '../../scripts/mariadb/mariadb-bootstrap.ts'
import { eventually } from '../helpers/eventually.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'

// TLS that is asked for is had, or there is no connection; over IPv6, where this machine has it.

if (spawnSync('openssl', ['version']).status !== 0) {
  t.plan(0, 'openssl is not installed: no certificate can be made')
  process.exit(0)
}

const MEMORY = { pool: 256 * 2 ** 20, log: 256 * 2 ** 20 }

const dir = tempDir(t)
const [cert, key] = [`${dir}/cert.pem`, `${dir}/key.pem`]
/** Made for another name, by nobody that is known. */
const [other, otherKey] = [`${dir}/other.pem`, `${dir}/other-key.pem`]
makeCertificate(cert, key, 'IP:127.0.0.1,IP:::1')
makeCertificate(other, otherKey, 'DNS:elsewhere.example')
const port = await freePort()
const isIPv6 = await canListen('::1')
const host = isIPv6 ? '[::1]' : '127.0.0.1'
const authority = makeAuthority('authority')
const encrypted = await startServer('with', ['--ssl-cert', cert, '--ssl-key', key])

t.test('an account that demands TLS gets it', async t => {
  for (const mode of ['true', 'verify-full', 'verify-ca']) {
    t.match(await cipherOf(`ssl=${mode}&ca=${cert}`), /./, mode)
  }
  t.match(await cipherOf('ssl=required'), /./, 'required')
})

t.test('without TLS the reason names it', async t => {
  const error = await failureOf(cipherOf(''))
  t.match(error, { code: 'DATABASE_UNFIT', advice: /TLS \(\?ssl=/ })
})

t.test('a certificate that nobody vouches for is refused', async t => {
  for (const [parameters, why] of [
    ['ssl=true', /certificate/],
    ['ssl=verify-ca', /certificate/],
    [`ssl=verify-full&ca=${other}`, /certificate/],
    [`ssl=verify-full&ca=${dir}/none.pem`, /ca of its URL cannot be read/],
  ] as const) {
    const error = await failureOf(cipherOf(parameters))
    t.match(error, { code: 'DATABASE_UNFIT', message: why }, parameters)
    t.notMatch(error.message, /secret/)
  }
})

t.test('a certificate for another host is refused, unless any name is taken', async t => {
  await encrypted.stop()
  const named = await startServer('named', ['--ssl-cert', other, '--ssl-key', otherKey])
  const error = await failureOf(cipherOf(`ssl=verify-full&ca=${other}`))
  t.match(error, { code: 'DATABASE_UNFIT', message: /certificate is for another host/ })
  t.match(await cipherOf(`ssl=verify-ca&ca=${other}`), /./)
  await named.stop()
})

t.test('an account that demands a certificate', async t => {
  const served = issue('served', authority, 'IP:127.0.0.1,IP:::1')
  const named = await startServer('authority', [
    ...['--ssl-ca', authority.cert, '--ssl-cert', served.cert, '--ssl-key', served.key],
  ])
  const client = issue('client', authority, 'DNS:parser')
  const verified = `ssl=verify-full&ca=${authority.cert}`
  const pair = (cert: string, key: string) => `${verified}&cert=${cert}&key=${key}`
  t.match(await cipherOf(verified), /./, 'the authority of the URL vouches for the server')
  t.match(await cipherOf(pair(client.cert, client.key), 'x509'), /./)

  const expired = issue('expired', authority, 'DNS:parser', -1)
  const stranger = issue('stranger', makeAuthority('elsewhere'), 'DNS:parser')
  const [no, text] = [`${dir}/no.pem`, `${dir}/text.pem`]
  writeFileSync(text, 'none')
  const denied = /1045|certificate/
  for (const [what, parameters, why] of [
    ['no certificate', verified, /demands TLS or a certificate/],
    ['one of another authority', pair(stranger.cert, stranger.key), denied],
    ['an expired one', pair(expired.cert, expired.key), /cert of its URL, .*expired, on/],
    ['a key of another', pair(client.cert, served.key), /key of its URL, .*not the key of/],
    ['no file of a certificate', pair(no, client.key), /cert of its URL cannot be read: ENOENT/],
    ['no file of a key', pair(client.cert, no), /key of its URL cannot be read: ENOENT/],
    ['a directory', pair(dir, client.key), /cert of its URL cannot be read: EISDIR/],
    ['no key in it', pair(client.cert, text), /key of its URL, .*no private key/],
    ['no certificate in it', pair(text, client.key), /cert of its URL, .*holds no certificate/],
    ['no authority in it', `ssl=verify-ca&ca=${text}`, /ca of its URL, .*holds no certificate/],
    ['a key as authority', `ssl=verify-ca&ca=${client.key}`, /ca of its URL, .*no certificate/],
  ] as const) {
    const error = await failureOf(cipherOf(parameters, 'x509'))
    t.match(error, { code: 'DATABASE_UNFIT', advice: /./, message: why }, what)
    t.notMatch(error.message, /secret/)
  }
  await named.stop()
})

t.test('a certificate that has expired is refused, unless anybody is taken', async t => {
  const expired = issue('old', authority, 'IP:127.0.0.1,IP:::1', -1)
  const old = await startServer('old', ['--ssl-cert', expired.cert, '--ssl-key', expired.key])
  for (const mode of ['verify-full', 'verify-ca']) {
    const error = await failureOf(cipherOf(`ssl=${mode}&ca=${authority.cert}`))
    t.match(error, { code: 'DATABASE_UNFIT', message: /certificate has expired/ }, mode)
  }
  t.match(await cipherOf('ssl=required'), /./)
  await old.stop()
})

t.test('a server that has no TLS is refused when it is asked for', async t => {
  await startServer('without', ['--skip-ssl'])
  for (const parameters of ['ssl=true', 'ssl=required', `ssl=verify-ca&ca=${cert}`]) {
    const error = await failureOf(cipherOf(parameters))
    t.match(error, { code: 'DATABASE_UNFIT', message: /no TLS/ }, parameters)
  }
})

async function cipherOf(parameters: string, user = 'tls'): Promise<string | undefined> {
  const session = await Session.open({
    url: `mariadb://${user}:secret@${host}:${port}/d?${parameters}`,
  })
  try {
    const [row] = await session.query<{ Value: string }>("SHOW STATUS LIKE 'Ssl_cipher'")
    return row?.Value
  } finally {
    await session.close()
  }
}

/** On the same data each time; the first makes account and database. */
async function startServer(name: string, args: readonly string[]) {
  const dataDir = `${dir}/data`
  const socketPath = `${dir}/${name}.sock`
  const program = await findServerProgram()
  await ensureDataDirectory(program, dataDir, MEMORY)
  const child = spawn(
    program.path,
    [
      ...commonArguments(program, dataDir, MEMORY).filter(one => !one.includes('skip-networking')),
      ...[`--socket=${socketPath}`, `--port=${port}`, `--bind-address=${isIPv6 ? '::1' : host}`],
      ...['--pid-file', `${dataDir}/${name}.pid`, ...args],
    ],
    { cwd: dirname(dataDir), stdio: 'ignore' },
  )
  const exited = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await exited
  }
  t.teardown(stop)
  await eventually('the server greets', () => greets(socketPath))
  const admin = await Session.open({ socketPath })
  await admin.execute('CREATE DATABASE IF NOT EXISTS d')
  await admin.execute("CREATE USER IF NOT EXISTS tls@'%' IDENTIFIED BY 'secret' REQUIRE SSL")
  await admin.execute("GRANT ALL ON d.* TO tls@'%'")
  await admin.execute("CREATE USER IF NOT EXISTS x509@'%' IDENTIFIED BY 'secret' REQUIRE X509")
  await admin.execute("GRANT ALL ON d.* TO x509@'%'")
  await admin.close()
  return { stop }
}

function makeCertificate(
  to: string,
  keyTo: string,
  names: string,
  name = '/CN=countersink test',
): void {
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  const subject = ['-subj', name, '-addext', `subjectAltName=${names}`]
  openssl(...request, ...subject, '-keyout', keyTo, '-out', to)
}

interface Issued {
  readonly cert: string
  readonly key: string
}

function makeAuthority(name: string): Issued {
  const [cert, key] = [`${dir}/${name}.pem`, `${dir}/${name}-key.pem`]
  makeCertificate(cert, key, 'DNS:authority', `/CN=${name}`)
  return { cert, key }
}

/** For these names, by this authority; with fewer than no days it has expired. */
function issue(name: string, by: Issued, names: string, days = 2): Issued {
  const [cert, key] = [`${dir}/${name}.pem`, `${dir}/${name}-key.pem`]
  const [request, extensions] = [`${dir}/${name}.csr`, `${dir}/${name}.ext`]
  writeFileSync(extensions, `subjectAltName=${names}\n`)
  const subject = ['-subj', `/CN=${name}`, '-newkey', 'rsa:2048', '-nodes', '-keyout', key]
  openssl('req', '-new', ...subject, '-out', request)
  const signed = ['-CA', by.cert, '-CAkey', by.key, '-CAcreateserial', '-days', String(days)]
  openssl('x509', '-req', '-in', request, ...signed, '-extfile', extensions, '-out', cert)
  return { cert, key }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function canListen(at: string): Promise<boolean> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(0, at, () => server.close(() => resolve(true)))
  })
}
