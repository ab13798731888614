import { once } from 'node:events'
import { connect } from 'node:net'
import type { StatePaths } from '../../shared/paths.ts'
import type { Ack, Settled } from '../../shared/protocol.ts'
import type { Channel } from '../../shared/socket/channel.ts'
import { openChannel } from '../../shared/socket/connecting.ts'
import { eventually } from './eventually.ts'
import { amountOf, type DataFile, linesOf, sha256Of } from './files.ts'
import type { Teardown } from './processes.ts'

/** Somebody who announces files, as a script. */
export interface Announcer {
  readonly channel: Channel
  /** What it was told without having asked, in order. */
  readonly settled: Settled[]
  announce(file: DataFile, changes?: { name?: string; sha256?: string }): Promise<Ack>
  /** Waits for the word about this name. */
  outcomeOf(name: string): Promise<Settled>
}

export async function connectAnnouncer(t: Teardown, paths: StatePaths): Promise<Announcer> {
  const settled: Settled[] = []
  const channel = await openChannel(paths.parserSocket, 'generator', {
    onMessage: message => {
      if (message.type === 'settled') settled.push(message)
    },
  })
  t.teardown(() => channel.close())
  return {
    channel,
    settled,
    announce: (file, changes = {}) =>
      channel.request<'ack'>({
        type: 'announce',
        name: file.name,
        sizeBytes: file.content.length,
        sha256: sha256Of(file.content),
        lines: linesOf(file.content),
        amount: String(amountOf(file.content)),
        ...changes,
      }),
    outcomeOf: name =>
      eventually(`${name} is reported`, () => settled.find(one => one.name === name)),
  }
}

/** Writes bytes of any kind to a socket and reads until the other side hangs up. */
export async function sendRaw(path: string, bytes: Buffer): Promise<Buffer> {
  const socket = connect(path)
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  socket.on('error', () => {
    // Being cut off is what the garbage asks for.
  })
  socket.write(bytes)
  await once(socket, 'close')
  return Buffer.concat(chunks)
}
