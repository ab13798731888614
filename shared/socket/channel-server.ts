import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { CountersinkError, describeError, hasCode } from '../errors.ts'
import { processIdentity } from '../lifecycle.ts'
import { SOCKET_LOOK_INTERVAL_MS } from '../limits.ts'
import { type Log, silentLog } from '../log.ts'
import type { Role } from '../protocol.ts'
import { Channel, type ChannelHandlers } from './channel.ts'
import { CutOffNotices } from './cut-off-notices.ts'
import { Places } from './places.ts'

export interface ServerHandlers extends ChannelHandlers {
  /** Whether this peer waits for more than replies, and so does not give way. Default: no. */
  waitsForMore?(channel: Channel): boolean
}

/**
 * A listening socket and the channels that came through it.
 *
 * Whether the socket still stands at its path is looked at every second. If it does not (somebody
 * removed or replaced it), it listens there again; those who are connected stay so. A socket at which
 * somebody else answers is left to them; one that only lets others in is not.
 */
export class ChannelServer {
  readonly #path: string
  readonly #role: Role
  readonly #handlers: ServerHandlers
  readonly #log: Log
  readonly #channels = new Set<Channel>()
  readonly #places: Places
  readonly #notices: CutOffNotices
  /** The newest listens; older ones end with their last connection. */
  readonly #servers = new Set<Server>()
  #listening: Server | undefined
  #identity: { readonly dev: bigint; readonly ino: bigint } | undefined
  #nextLook: NodeJS.Timeout | undefined
  #look: Promise<void> = Promise.resolve()
  #trouble: string | undefined
  #closing: Promise<void> | undefined

  private constructor(path: string, role: Role, handlers: ServerHandlers, log: Log) {
    this.#path = path
    this.#role = role
    this.#handlers = handlers
    this.#log = log
    this.#places = new Places(channel => handlers.waitsForMore?.(channel) ?? false)
    this.#notices = new CutOffNotices(log)
  }

  /**
   * Listens at `path`, taking it over from whoever listened there before. It binds under a name of
   * its own and renames that into place: there is no moment without a socket, and the close of an
   * older server cannot unlink this one's file (Node's libuv unlinks the name it was bound to).
   *
   * @throws CountersinkError STATE_DIRECTORY_UNFIT when a directory stands there that is not empty.
   */
  static async listen(
    path: string,
    role: Role,
    handlers: ServerHandlers,
    log = silentLog,
  ): Promise<ChannelServer> {
    const server = new ChannelServer(path, role, handlers, log)
    await server.#bind().catch(error => {
      if (!hasCode(error, 'EISDIR')) throw error
      throw new CountersinkError(
        'STATE_DIRECTORY_UNFIT',
        `${path} is a directory, with something in it`,
        {
          advice: 'A socket is to stand there: move it away.',
        },
      )
    })
    server.#lookLater()
    return server
  }

  /** Stops listening and ends every channel; whoever does not end its side soon is cut off. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearTimeout(this.#nextLook)
    await this.#look
    const cutOff = setTimeout(() => {
      const error = new CountersinkError('STOPPED', 'this side has ended')
      for (const channel of this.#channels) channel.giveWay(error)
    }, GOODBYE_MS)
    try {
      if (this.#isInPlace()) unlinkSync(this.#path)
    } catch (error) {
      // It is gone already, or out of reach: whoever listens next takes the path over.
      if (!isSystemError(error)) throw error
    }
    const ended = [...this.#servers].map(
      server =>
        new Promise<void>(resolve => {
          server.once('close', resolve)
          if (server.listening) server.close()
        }),
    )
    for (const channel of this.#channels) channel.close()
    await Promise.all(ended)
    clearTimeout(cutOff)
  }

  async #bind(): Promise<void> {
    const own = `${this.#path}.${process.pid}`
    removeIfThere(own)
    sweepUnfinishedBinds(this.#path)
    const server = createServer(socket => this.#accept(socket))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(own, () => {
        server.off('error', reject)
        resolve()
      })
    })
    // No descriptor for one more peer, say: those who are here are served all the same.
    server.on('error', error => this.#inTrouble('no peer can be let in', error))
    this.#servers.add(server)
    server.once('close', () => this.#servers.delete(server))
    try {
      // The directory is 0700 already; this is the second lock on the same door.
      chmodSync(own, 0o600)
      removeEmptyDirectory(this.#path)
      renameSync(own, this.#path)
    } catch (error) {
      server.close()
      throw error
    }
    this.#listening = server
    this.#identity = lstatSync(this.#path, { bigint: true })
  }

  #accept(socket: Socket): void {
    const channel = new Channel(socket, this.#role, {
      ...this.#handlers,
      onOpen: (opened, hello) => {
        const refusal = this.#places.greeted(opened, hello)
        if (refusal === undefined) this.#handlers.onOpen?.(opened, hello)
        else opened.giveWay(refusal)
      },
      onClose: (closed, error) => {
        this.#channels.delete(closed)
        this.#places.left(closed)
        this.#notices.note(error)
        this.#handlers.onClose?.(closed, error)
      },
    })
    this.#channels.add(channel)
    this.#places.arrived(channel)
  }

  #lookLater(): void {
    this.#nextLook = setTimeout(() => {
      this.#look = this.#listenAgainIfGone()
      void this.#look.then(() => {
        if (this.#closing === undefined) this.#lookLater()
      })
    }, SOCKET_LOOK_INTERVAL_MS).unref()
  }

  /** Listens again when nobody can find us any more. */
  async #listenAgainIfGone(): Promise<void> {
    try {
      if (this.#isInPlace()) {
        this.#trouble = undefined
        return
      }
      const isElsewhere = await somebodyAnswers(this.#path)
      if (this.#closing !== undefined) return
      if (isElsewhere) {
        const path = this.#path
        this.#inTrouble('another process listens at the path of our socket now', undefined, path)
        return
      }
      // Only the directory itself: where the whole state directory is gone, nothing is made.
      if (!isThere(dirname(this.#path))) mkdirSync(dirname(this.#path), { mode: 0o700 })
      this.#listening?.close()
      this.#listening = undefined
      await this.#bind()
      this.#log.warn('the socket was gone from its path; listening again', { path: this.#path })
    } catch (error) {
      if (!isSystemError(error)) throw error
      this.#inTrouble('nobody can reach the socket', error, this.#path)
    }
  }

  #inTrouble(what: string, error?: unknown, path?: string): void {
    const because = error === undefined ? undefined : describeError(error)
    if (this.#trouble === `${what} ${because}`) return
    this.#trouble = `${what} ${because}`
    this.#log.warn(what, { because, path })
  }

  #isInPlace(): boolean {
    const there = lstatSync(this.#path, { bigint: true, throwIfNoEntry: false })
    const mine = this.#listening === undefined ? undefined : this.#identity
    return there !== undefined && there.dev === mine?.dev && there.ino === mine.ino
  }
}

/** How long a closing server waits for its peers to end their side. */
const GOODBYE_MS = 500

/** How long somebody else has to say anything; all of us say hello at once. */
const ANSWER_MS = 1_000

/** In doubt yes: nobody's socket is taken away from them. */
function somebodyAnswers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const end = (answers: boolean): void => {
      clearTimeout(silence)
      socket.destroy()
      resolve(answers)
    }
    const silence = setTimeout(() => end(false), ANSWER_MS)
    socket.once('data', () => end(true))
    socket.once('end', () => end(false))
    socket.once('error', error => {
      end(!hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ECONNRESET', 'EPIPE'))
    })
  })
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Nothing is lost with it, and no name can be put over it. */
function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // What else it is shows when it is to be replaced.
  }
}

/** Names that servers bound to and had no time to rename. */
function sweepUnfinishedBinds(path: string): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    const pid = name.startsWith(prefix) ? name.slice(prefix.length) : ''
    if (/^\d+$/.test(pid) && processIdentity(Number(pid)) === undefined) {
      removeIfThere(join(dirname(path), name))
    }
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}
