/** The side of a connection that begins it. */

import { connect } from 'node:net'
import { CountersinkError, hasCode } from '../errors.ts'
import type { Role } from '../protocol.ts'
import { Channel, type ChannelHandlers } from './channel.ts'

/**
 * Connects and waits until both hellos are exchanged.
 *
 * @throws the socket's own error (ENOENT, ECONNREFUSED: nobody listens) or why the peer hung up.
 */
export function openChannel(
  path: string,
  role: Role,
  handlers: ChannelHandlers = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      new Channel(socket, role, {
        ...handlers,
        onOpen: (channel, hello) => {
          handlers.onOpen?.(channel, hello)
          resolve(channel)
        },
        onClose: (channel, error) => {
          handlers.onClose?.(channel, error)
          reject(
            error ?? new CountersinkError('CHANNEL_CLOSED', 'the peer hung up before its hello'),
          )
        },
      })
    })
  })
}

/** Whether this is how a connection fails; anything else is a fault of ours. */
export function isOfThePeer(error: unknown): boolean {
  return error instanceof CountersinkError || (error instanceof Error && 'syscall' in error)
}

/** Asks one thing on a connection of its own: `undefined` when nobody listens there. */
export async function askOnce<T>(
  path: string,
  ask: (channel: Channel) => Promise<T>,
): Promise<T | undefined> {
  let channel: Channel
  try {
    channel = await openChannel(path, 'client')
  } catch (error) {
    // Nobody listens, or is just about to end.
    if (hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'CHANNEL_CLOSED')) return undefined
    throw error
  }
  try {
    return await ask(channel)
  } finally {
    channel.close()
  }
}
