/**
 * Messages over a UNIX socket: frames, the channel on them, and the server with its places.
 */

export { askOnce, type Channel, isOfThePeer, openChannel } from './channel.ts'
export { ChannelServer, type ServerHandlers } from './channel-server.ts'
