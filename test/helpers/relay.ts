import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Teardown } from './processes.ts'

export interface Relay {
  readonly server: Server
  /** Also for those that are connected. */
  close(): void
}

/** Stands between clients and a server's socket. Who has lost the other end ends as well. */
export function makeRelay(
  serverSocket: string,
  /** What passes, and how. */
  join: (client: Socket, upstream: Socket) => void,
): Relay {
  const sockets = new Set<Socket>()
  const server = createServer(client => {
    const upstream = connect(serverSocket)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {
        // It is for the clients under test to mind.
      })
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    join(client, upstream)
  })
  return {
    server,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** The same at a path, as long as the test runs. */
export async function startRelay(
  t: Pick<Teardown, 'teardown'>,
  listenAt: string,
  ...how: Parameters<typeof makeRelay>
): Promise<void> {
  const relay = makeRelay(...how)
  await new Promise<void>(resolve => relay.server.listen(listenAt, resolve))
  t.teardown(() => relay.close())
}
