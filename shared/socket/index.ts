/**
 * Messages over a UNIX socket: frames, the channel on them, and the server with its places.
 */

export type { Channel } from './channel.ts'
export { ChannelServer, type ServerHandlers } from './channel-server.ts'
export { askOnce, isOfThePeer, openChannel } from './connecting.ts'
