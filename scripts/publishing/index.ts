/**
 * What the command line needs to publish (a source at rest, its hash, where it stands now), and to know
 * that an inbox is empty.
 */

export { hashFile } from './hash-file.ts'
export { findInInbox, type InInbox } from './in-inbox.ts'
export { InboxDrain } from './inbox-drain.ts'
export { type PublishedFile, publishFile, type Source } from './publication.ts'
export { type Brought, publishFiles } from './publish-files.ts'
export {
  findQuarantined,
  listQuarantined,
  noteRequeued,
  type Quarantined,
  type QuarantinedFacts,
} from './quarantined.ts'
export { findRejects, parentOf, type RejectFile, readRejects } from './reject-files.ts'
export { SettlementWatch } from './settlement-watch.ts'
export { SourceRest, untilAtRest } from './source-rest.ts'
export { termsAsked, usedAtOf } from './terms-asked.ts'
export { type PutAside, whatWasPutAside, whereItStands, whyPutAside } from './whereabouts.ts'
