import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import {
  commonArguments,
  ensureDataDirectory,
  findServerProgram,
  greets,
} from '../../../scripts/mariadb/mariadb-bootstrap.ts'
import { eventually } from '../../helpers/eventually.ts'
import type { Teardown } from '../../helpers/processes.ts'

const HOST = '127.0.0.1'
const MEMORY = { pool: 256 * 2 ** 20, log: 256 * 2 ** 20 }

/** A database of somebody's: it has TLS, and whoever may ask at its socket is its administrator. */
export interface DatabaseHost {
  /** As in a URL. */
  readonly address: string
  readonly socketPath: string
  /** The certificate of who vouches for it. */
  readonly authority: string
}

/** @param dir a new directory, with a short path. */
export async function startDatabaseHost(t: Teardown, dir: string): Promise<DatabaseHost> {
  mkdirSync(dir)
  const [cert, key, socketPath] = [join(dir, 'cert.pem'), join(dir, 'key.pem'), join(dir, 's')]
  const subject = ['-subj', '/CN=database', '-addext', `subjectAltName=IP:${HOST}`]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2']
  execFileSync('openssl', [...request, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const program = await findServerProgram()
  const dataDir = join(dir, 'data')
  await ensureDataDirectory(program, dataDir, MEMORY)
  const port = await freePort()
  const server = spawn(
    program.path,
    [
      ...commonArguments(program, dataDir, MEMORY).filter(one => !one.includes('skip-networking')),
      ...[`--socket=${socketPath}`, `--port=${port}`, `--bind-address=${HOST}`],
      ...[`--pid-file=${join(dir, 'pid')}`, '--ssl-cert', cert, '--ssl-key', key],
    ],
    { cwd: dirname(dataDir), stdio: 'ignore' },
  )
  const exited = once(server, 'exit')
  t.teardown(async () => {
    server.kill('SIGTERM')
    await exited
  })
  await eventually('the server greets', () => greets(socketPath))
  return { address: `${HOST}:${port}`, socketPath, authority: cert }
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, HOST)
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  listener.close()
  await once(listener, 'close')
  return port
}
