/**
 * What is relied on in the larger things a peer says (its health, its answers): which fields there must
 * be, and of which kind. A name that ends in `?` may be missing; a field that is not named may be anything.
 */
type Kind = 'number' | 'string' | Shape | readonly [each: Shape | 'number']
export interface Shape {
  readonly [field: string]: Kind
}

/** What is wrong, if anything: `queue.files must be a number`. Walks as deep as the shape, no deeper. */
export function misfit(value: unknown, shape: Shape, path = ''): string | undefined {
  if (typeof value !== 'object' || value === null) return `${path || 'it'} must be a map`
  for (const [name, kind] of Object.entries(shape)) {
    const key = name.replace(/\?$/, '')
    const field: unknown = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
    if (field === undefined && name.endsWith('?')) continue
    const why = misfitOf(field, kind, path === '' ? key : `${path}.${key}`)
    if (why !== undefined) return why
  }
  return undefined
}

function misfitOf(field: unknown, kind: Kind, path: string): string | undefined {
  if (typeof kind === 'string') {
    return typeof field === kind ? undefined : `${path} must be a ${kind}`
  }
  if (!isList(kind)) return misfit(field, kind, path)
  if (!Array.isArray(field)) return `${path} must be a list`
  for (const one of field) {
    const why = misfitOf(one, kind[0], `${path}[]`)
    if (why !== undefined) return why
  }
  return undefined
}

function isList(kind: Kind): kind is readonly [Shape | 'number'] {
  return Array.isArray(kind)
}

/** Of a service that was started before an update: it says nothing of outcomes that are new. */
const COUNTS: Shape = {
  ...{ applied: 'number', duplicate: 'number', quarantined: 'number' },
  ...{ 'reverted?': 'number', 'held?': 'number' },
  ...{ bytes: 'number', lines: 'number', 'rejectedLines?': 'number' },
}
const COMMON: Shape = {
  ...{ pid: 'number', state: 'string', 'reason?': 'string' },
  ...{ uptimeSeconds: 'number', lastProgressAtMs: 'number', eventLoopDelayMs: 'number' },
}
const IN_WORK: Shape = { name: 'string', positionBytes: 'number', sizeBytes: 'number' }

export const PARSER_HEALTH: Shape = {
  ...COMMON,
  queue: { files: 'number', bytes: 'number' },
  'reading?': { ...IN_WORK, resumedFromBytes: 'number' },
  ...{ database: 'string', 'databaseReason?': 'string', 'databaseHost?': 'string' },
  'statement?': { ageSeconds: 'number', waitsFor: 'string' },
  ...{ sinceStart: COUNTS, ever: COUNTS, processed: 'number' },
  ...{ 'noRoom?': 'string', 'blockedBatch?': 'string' },
  'done?': {
    ...{ claimed: 'number', batches: 'number', pairs: 'number' },
    stages: [{ stage: 'string', sumMs: 'number', buckets: ['number'] }],
  },
  ...{ 'oldestClaimedAtMs?': 'number' },
  'usage?': { postings: 'number', ageSeconds: 'number', 'why?': 'string' },
  'sameNames?': { files: 'number', newest: [{ name: 'string', contents: 'number' }] },
  'grewAfterwards?': { files: 'number', newest: [{ name: 'string', change: 'string' }] },
  'held?': { files: 'number', first: [{ name: 'string', sha256: 'string', sinceMs: 'number' }] },
  'orders?': { orders: 'number', first: [{ kind: 'string', why: 'string' }] },
}

export const GENERATOR_HEALTH: Shape = {
  ...COMMON,
  unsettled: 'number',
  'writing?': IN_WORK,
  sinceStart: { files: 'number', bytes: 'number' },
}

export const SERVING_HEALTH: Shape = { ...COMMON, 'address?': 'string', requests: 'number' }

export const PROCESSED_PAGE: Shape = {
  files: [
    {
      ...{ number: 'number', name: 'string', sha256: 'string', sizeBytes: 'number' },
      ...{
        lines: 'number',
        'rejectedLines?': 'number',
        amount: 'string',
        outcome: 'string',
        'reason?': 'string',
      },
      ...{ claimedAtMs: 'number', settledAtMs: 'number' },
    },
  ],
  'next?': 'number',
}
