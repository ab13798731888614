import { join } from 'node:path'
import type { Teardown } from '../helpers/processes.ts'
import { startRelay } from '../helpers/relay.ts'
import type { Site } from '../helpers/state-dir.ts'

/** What happens to a COMMIT on its way. */
export type Mischief =
  /** The connection ends; the server never hears of it. */
  | 'cut before'
  /** The server has committed; the connection ends before the answer gets through. */
  | 'cut after'
  /** The server does not hear of it until `release`. */
  | 'hold before'
  /** The server has committed; the answer waits for `release`. */
  | 'hold after'

/** Sits between a parser and its MariaDB, byte for byte. */
export interface Proxy {
  /** For a parser that is to go through it. */
  readonly env: Readonly<Record<string, string>>
  /** COMMITs that were cut or held so far. */
  readonly done: number
  /** For the n-th COMMIT from now on, once. */
  arm(mischief: Mischief, nth?: number): void
  release(): void
}

export async function startProxy(t: Teardown, site: Site): Promise<Proxy> {
  const url = new URL(site.config.databaseUrl)
  const serverSocket = url.searchParams.get('socketPath') ?? ''
  const path = join(site.paths.dir, 'proxy')
  let armed: { mischief: Mischief; left: number } | undefined
  let done = 0
  const releases: (() => void)[] = []

  /** The mischief for this packet, if it is a COMMIT and its turn. */
  function due(packet: Buffer): Mischief | undefined {
    if (armed === undefined || packet.subarray(5).toString('latin1') !== 'COMMIT') return undefined
    armed.left -= 1
    if (armed.left > 0) return undefined
    const { mischief } = armed
    armed = undefined
    return mischief
  }

  await startRelay(t, path, serverSocket, (client, upstream) => {
    let answers: ((answer: Buffer) => void) | undefined
    // The driver does not pipeline: a packet is a chunk, and the next comes after its answer.
    client.on('data', packet => {
      const mischief = due(packet)
      if (mischief === undefined) return void upstream.write(packet)
      if (mischief === 'hold before') releases.push(() => upstream.write(packet))
      if (mischief === 'cut before') client.destroy()
      if (mischief.endsWith('before')) {
        done += 1
        return
      }
      answers = answer => {
        answers = undefined
        if (mischief === 'cut after') client.destroy()
        else releases.push(() => client.write(answer))
        done += 1
      }
      upstream.write(packet)
    })
    upstream.on('data', answer => {
      if (answers === undefined) client.write(answer)
      else answers(answer)
    })
  })
  url.searchParams.set('socketPath', path)
  return {
    env: { COUNTERSINK_DATABASE_URL: url.href },
    get done() {
      return done
    },
    arm(mischief, nth = 1) {
      armed = { mischief, left: nth }
    },
    release() {
      for (const release of releases.splice(0)) release()
    },
  }
}
