import {
  IN_INBOX,
  inboxJson,
  ownPlaces,
  SEVERAL,
  severalJson,
  TRAIL,
  trailJson,
} from '../../answers/index.ts'
import { findTrail } from '../../mariadb/index.ts'
import { findInInbox } from '../../publishing/index.ts'
import { undecided } from '../../terminal/index.ts'
import { matching } from '../params.ts'
import { Problem } from '../problem.ts'
import { route } from '../route.ts'
import { refuseAtRest } from './at-rest.ts'

export const timeline = route({
  path: '/api/v1/files/{sha256}',
  summary: 'what became of a content, step by step: what "explain --json" says of it',
  cost: 'trail',
  params: {
    sha256: matching(
      'path',
      'its SHA-256, or 8 digits or more of it',
      /^[0-9a-f]{8,64}$/,
      '8 to 64 hex digits in lower case',
    ),
  },
  answer: { anyOf: [TRAIL, SEVERAL, IN_INBOX] },
  problems: [404, 503],
  async run({ sha256: prefix }, ground) {
    await refuseAtRest(ground)
    const { paths, asking } = ground
    const question = { kind: 'trail', prefix } as const
    const { trail, several, hasMore, ledgerSilentBecause } = await findTrail(
      paths,
      question,
      asking,
    )
    if (trail !== undefined) {
      return trailJson(trail, ledgerSilentBecause !== undefined, await ownPlaces(trail, paths))
    }
    if (several !== undefined) return severalJson(several, hasMore === true)
    const there = await findInInbox(paths, question)
    if (there !== undefined) return inboxJson(there)
    if (ledgerSilentBecause !== undefined) {
      throw undecided(`what became of ${prefix}`, 'never seen', ledgerSilentBecause)
    }
    throw new Problem(404, 'NOT_FOUND', `no content ${prefix} was ever seen`)
  },
})
