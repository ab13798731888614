/**
 * What is asked of a service, answered as JSON: by the command line with --json, and over HTTP. The shapes,
 * and what fills them.
 */

export {
  CONSUMER_POSTING,
  consumerJson,
  EXPLAIN_ANSWER,
  IN_INBOX,
  inboxJson,
  namesakesJson,
  OPENING,
  OUTSIDE,
  SEVERAL,
  severalJson,
  TOTAL,
  TRAIL,
  trailJson,
} from './explain.ts'
export { keepProof, LAST_PROOF, type LastProof, readLastProof } from './last-proof.ts'
export { type OwnPlaces, ownPlaces } from './own-places.ts'
export { type Picture, statusPicture } from './status.ts'
export { PICTURE_SHAPE } from './status-shape.ts'
export {
  USAGE_END,
  USAGE_HEAD,
  USAGE_PERIOD,
  USAGE_WHOLE,
  usageHeadJson,
  usagePeriodJson,
} from './usage.ts'
export { proofJson, VERIFY_ANSWER } from './verify.ts'
