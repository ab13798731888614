/**
 * The way in: from a name in the inbox, or on the socket, to an entry in the journal and a file in
 * work/. Behind it nobody looks at the inbox.
 */

export { adoptWork } from './adopt.ts'
export { Inbox } from './inbox.ts'
export { InboxScanner } from './inbox-scanner.ts'
export { Listener } from './listener.ts'
export { QueueTally } from './queue-tally.ts'
export { Sealer } from './sealer.ts'
