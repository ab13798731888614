import { chmodSync, readdirSync, renameSync, statSync, unlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { Channel, type ChannelHandlers } from './channel.ts'
import { CountersinkError, hasCode } from './errors.ts'
import { processIdentity } from './lifecycle.ts'
import { CONNECTIONS_MAX } from './limits.ts'
import type { Role } from './protocol.ts'

/** A listening socket and the channels that came through it. */
export class ChannelServer {
  readonly #server: Server
  readonly #path: string
  readonly #inode: number
  readonly #channels: Set<Channel>
  #closing: Promise<void> | undefined

  private constructor(server: Server, path: string, channels: Set<Channel>) {
    this.#server = server
    this.#path = path
    this.#inode = statSync(path).ino
    this.#channels = channels
  }

  /**
   * Listens at `path`, taking it over from whoever listened there before. It binds under a name of
   * its own and renames that into place: there is no moment without a socket, and the close of an
   * older server cannot unlink this one's file (Node's libuv unlinks the name it was bound to).
   */
  static async listen(path: string, role: Role, handlers: ChannelHandlers): Promise<ChannelServer> {
    const channels = new Set<Channel>()
    const server = createServer(socket => {
      const channel = new Channel(socket, role, {
        ...handlers,
        onClose: (closed, error) => {
          channels.delete(closed)
          handlers.onClose?.(closed, error)
        },
      })
      channels.add(channel)
    })
    server.maxConnections = CONNECTIONS_MAX
    const own = `${path}.${process.pid}`
    removeIfThere(own)
    sweepUnfinishedBinds(path)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(own, () => {
        server.off('error', reject)
        resolve()
      })
    })
    // The directory is 0700 already; this is the second lock on the same door.
    chmodSync(own, 0o600)
    renameSync(own, path)
    return new ChannelServer(server, path, channels)
  }

  /** Stops listening and ends every channel; whoever does not end its side soon is cut off. */
  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => {
      const cutOff = setTimeout(() => {
        const error = new CountersinkError('STOPPED', 'this side has ended')
        for (const channel of this.#channels) channel.destroy(error)
      }, GOODBYE_MS)
      try {
        if (statSync(this.#path).ino === this.#inode) unlinkSync(this.#path)
      } catch {
        // Gone already, with the state directory; nothing is left to tidy.
      }
      this.#server.close(() => {
        clearTimeout(cutOff)
        resolve()
      })
      for (const channel of this.#channels) channel.close()
    })
    return this.#closing
  }
}

/** How long a closing server waits for its peers to end their side. */
const GOODBYE_MS = 500

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
