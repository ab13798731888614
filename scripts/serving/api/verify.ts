import { LAST_PROOF, readLastProof } from '../../answers/index.ts'
import { Problem } from '../problem.ts'
import { route } from '../route.ts'

export const verify = route({
  path: '/api/v1/verify',
  summary: 'what "verify" has found last, and when; nothing is proved for this',
  cost: 'nothing',
  params: {},
  answer: LAST_PROOF,
  problems: [404],
  async run(_given, { paths }) {
    const kept = readLastProof(paths)
    if (kept !== undefined) return kept
    throw new Problem(404, 'NOT_FOUND', 'nothing was proved yet', 'Run "countersink verify".')
  },
})
