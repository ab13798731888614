import type { Teardown } from './processes.ts'
import { startRelay } from './relay.ts'

/** What is answered to a command in the server's place. */
export interface Refusal {
  readonly number: number
  readonly state?: string
  readonly message?: string
  /** Only commands whose text it matches. */
  readonly match?: RegExp
  /** Only so many of them. */
  readonly times?: number
}

/**
 * Sits between a client and MariaDB and, when told to, answers commands with an error that the server
 * would be hard to bring to, or swallows everything while all connections stay open.
 */
export interface SayingNo {
  refuse(refusal: Refusal | undefined): void
  swallow(isSwallowing: boolean): void
  /** Commands refused so far. */
  readonly refused: number
  /** Connections that were made, ever. */
  readonly connections: number
}

const HEADER_BYTES = 4
/** A statement as text, and a prepared one: what comes first in such a packet. */
const COM_QUERY = 3
const COM_PREPARE = 22

export async function startSayingNo(
  t: Teardown,
  listenAt: string,
  serverSocket: string,
): Promise<SayingNo> {
  const state = { refused: 0, connections: 0 }
  let refusal: Refusal | undefined
  let left = 0
  let isSwallowing = false

  const due = (packet: Buffer): Refusal | undefined => {
    const isStatement = [COM_QUERY, COM_PREPARE].includes(packet[HEADER_BYTES] ?? 0)
    // Commands begin a new count of packets; what follows a handshake goes on with it.
    if (refusal === undefined || packet[3] !== 0 || !isStatement || left === 0) return undefined
    const text = packet.subarray(HEADER_BYTES + 1).toString('latin1')
    if (refusal.match !== undefined && !refusal.match.test(text)) return undefined
    left -= 1
    state.refused += 1
    return refusal
  }

  await startRelay(t, listenAt, serverSocket, (client, upstream) => {
    state.connections += 1
    let pending: Buffer = Buffer.alloc(0)
    client.on('data', data => {
      if (isSwallowing) return
      pending = Buffer.concat([pending, data])
      for (;;) {
        const end = HEADER_BYTES + (pending.length < HEADER_BYTES ? 0 : pending.readUIntLE(0, 3))
        if (pending.length < HEADER_BYTES || pending.length < end) break
        const packet = pending.subarray(0, end)
        pending = pending.subarray(end)
        const no = due(packet)
        if (no === undefined) upstream.write(packet)
        else client.write(errorPacket(no))
      }
    })
    upstream.on('data', data => {
      if (!isSwallowing) client.write(data)
    })
  })
  return {
    refuse(next) {
      refusal = next
      left = next?.times ?? Number.POSITIVE_INFINITY
    },
    swallow(next) {
      isSwallowing = next
    },
    get refused() {
      return state.refused
    },
    get connections() {
      return state.connections
    },
  }
}

function errorPacket({ number, state = 'HY000', message = 'no' }: Refusal): Buffer {
  const head = Buffer.from([0xff, number & 0xff, number >> 8])
  const body = Buffer.concat([head, Buffer.from(`#${state}${message}`)])
  return Buffer.concat([Buffer.from([body.length & 0xff, body.length >> 8, 0, 1]), body])
}
