import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A port that leads to a server's socket while it is open. */
export class ProxiedHost {
  readonly socketPath: string
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  get name(): string {
    return `127.0.0.1:${this.#port}`
  }

  async open(): Promise<void> {
    this.#server = createServer(client => {
      const upstream = connect(this.socketPath)
      client.pipe(upstream).pipe(client)
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          upstream.destroy()
        })
      }
    })
    await new Promise<void>(done => this.#server?.listen(this.#port, '127.0.0.1', done))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** As when its host loses its network: also for those that are connected. */
  close(): void {
    this.#server?.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}
