/**
 * What the command line needs to publish (a source at rest, its hash, where it stands now), and to know
 * that an inbox is empty.
 */

export { hashFile } from './hash-file.ts'
export { findInInbox, type InInbox } from './in-inbox.ts'
export { InboxDrain } from './inbox-drain.ts'
export { type PublishedFile, publishFile, type Source } from './publication.ts'
export { findRejects, parentOf, type RejectFile, readRejects } from './reject-files.ts'
export { SettlementWatch } from './settlement-watch.ts'
export { SourceRest } from './source-rest.ts'
export { whatWasPutAside, whereItStands, whyQuarantined } from './whereabouts.ts'
