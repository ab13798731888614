/**
 * The one way into an inbox, for the generator, the command line and whatever else publishes: tmp,
 * manifest, data, announced.
 */

export { Announcer } from './announcer.ts'
export { publish } from './publish.ts'
export { sweepLeftovers } from './sweep.ts'
export { tmpName } from './tmp-names.ts'
