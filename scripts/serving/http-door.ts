/**
 * Where requests come in: a port, or a socket in the file system that is bound under a name of its own first
 * and renamed into place, so that a socket that a crash has left is no hindrance; one at which somebody
 * answers is.
 *
 * Whoever is slow, or sends or holds too much, loses the connection; what a connection can hold is bounded. Where
 * all places are taken (`door-places.ts`), the newcomer gets that of who has asked for nothing for longest.
 */

import { chmodSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect } from 'node:net'
import { CountersinkError, hasCode, systemReason } from '../../shared/errors.ts'
import { addressText, hostAndPort, type ServeAddress } from '../../shared/serve-address.ts'
import { DoorPlaces } from './door-places.ts'

const HEADER_BYTES_MAX = 8_192
const HEADER_MS_MAX = 10_000
const REQUEST_MS_MAX = 15_000
const KEPT_OPEN_MS = 10_000
/** Nothing goes to and fro; an answer may take as long as it is allowed to. */
const SILENT_MS_MAX = 75_000
const GOODBYE_MS = 3_000

export class HttpDoor {
  readonly #server: Server
  readonly #address: ServeAddress
  /** In the file system: another one may stand there by now. */
  readonly #socket: FileIdentity | undefined
  #closing: Promise<void> | undefined

  private constructor(server: Server, address: ServeAddress, socket: FileIdentity | undefined) {
    this.#server = server
    this.#address = address
    this.#socket = socket
  }

  /** @throws CountersinkError ALREADY_RUNNING: it is taken; CONFIG_INVALID: there is no such place. */
  static async open(address: ServeAddress, onRequest: RequestListener): Promise<HttpDoor> {
    const places = new DoorPlaces()
    const server = createServer(
      {
        ...{ maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADER_MS_MAX },
        ...{ requestTimeout: REQUEST_MS_MAX, keepAliveTimeout: KEPT_OPEN_MS },
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => {
        if (places.isTaken(request, response)) onRequest(request, response)
      },
    )
    server.on('connection', socket => places.enter(socket))
    server.timeout = SILENT_MS_MAX
    let socket: FileIdentity | undefined
    try {
      if (address.kind === 'unix') socket = await listenAtPath(server, address.path)
      else await listening(server, () => server.listen(address.port, address.host))
    } catch (error) {
      throw whyNot(address, error)
    }
    return new HttpDoor(server, address, socket)
  }

  /** As somebody would type it, with the port that was free. */
  get where(): string {
    const bound = this.#server.address()
    if (this.#address.kind === 'unix' || bound === null || typeof bound === 'string') {
      return addressText(this.#address)
    }
    return hostAndPort(this.#address.host, bound.port)
  }

  /** Lets nobody in any more; who is being answered is given a moment. */
  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => {
      const cutOff = setTimeout(() => this.#server.closeAllConnections(), GOODBYE_MS)
      this.#server.close(() => {
        clearTimeout(cutOff)
        resolve()
      })
      this.#server.closeIdleConnections()
      if (this.#address.kind === 'unix') removeSocket(this.#address.path, this.#socket)
    })
    return this.#closing
  }
}

async function listenAtPath(server: Server, path: string): Promise<FileIdentity> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found !== undefined && !found.isSocket()) {
    throw new CountersinkError('CONFIG_INVALID', `${path} is there, and is no socket`, {
      advice: 'Name another place for it, or move away what is there.',
    })
  }
  if (found !== undefined && (await isAnswered(path))) {
    throw Object.assign(new Error('somebody listens there'), { code: 'EADDRINUSE' })
  }
  const bound = `${path}.${process.pid}`.slice(0, path.length + 8)
  removeSocket(bound)
  await listening(server, () => server.listen(bound))
  // Whoever may not use it must not come in between.
  chmodSync(bound, 0o600)
  const { dev, ino } = lstatSync(bound, { bigint: true })
  renameSync(bound, path)
  return { dev, ino }
}

interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.once('listening', () => {
      server.off('error', reject)
      resolve()
    })
    listen()
  })
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (is: boolean): void => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => end(true))
    socket.once('error', error => end(!hasCode(error, 'ECONNREFUSED', 'ENOENT')))
  })
}

/** @param ours no other one is removed. */
function removeSocket(path: string, ours?: FileIdentity): void {
  try {
    const found = lstatSync(path, { bigint: true })
    const isOurs = ours === undefined || (found.dev === ours.dev && found.ino === ours.ino)
    if (found.isSocket() && isOurs) unlinkSync(path)
  } catch (error) {
    // It has gone, or is out of reach: nobody is harmed by one at which nobody listens.
    if (!(error instanceof Error && 'syscall' in error)) throw error
  }
}

function whyNot(address: ServeAddress, error: unknown): CountersinkError {
  if (error instanceof CountersinkError) return error
  const where = addressText(address)
  if (hasCode(error, 'EADDRINUSE')) {
    return new CountersinkError('ALREADY_RUNNING', `${where} is in use: somebody listens there`, {
      cause: error,
      advice: 'Stop that, or serve at another address.',
    })
  }
  return new CountersinkError(
    'CONFIG_INVALID',
    `${where} cannot be listened at: ${systemReason(error)}`,
    {
      cause: error,
      advice: 'Serve at an address of this machine, and a port that this user may use.',
    },
  )
}
