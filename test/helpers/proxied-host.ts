import type { AddressInfo } from 'node:net'
import { makeRelay, type Relay } from './relay.ts'

/** A port that leads to a server's socket while it is open. */
export class ProxiedHost {
  readonly socketPath: string
  #relay: Relay | undefined
  #port = 0

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  get name(): string {
    return `127.0.0.1:${this.#port}`
  }

  async open(): Promise<void> {
    const relay = makeRelay(this.socketPath, (client, upstream) => {
      client.pipe(upstream).pipe(client)
    })
    this.#relay = relay
    await new Promise<void>(done => relay.server.listen(this.#port, '127.0.0.1', done))
    this.#port = (relay.server.address() as AddressInfo).port
  }

  /** As when its host loses its network: also for those that are connected. */
  close(): void {
    this.#relay?.close()
  }
}
