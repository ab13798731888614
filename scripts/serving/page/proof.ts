/** The last proof that somebody has asked for with `countersink verify`. */

import type { LastProof } from './answers.ts'
import { type Api, Problem } from './api.ts'

/** null: nothing was proved yet. */
export async function lastProof(api: Api): Promise<LastProof | null> {
  try {
    return await api.get<LastProof>('verify')
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null
    throw error
  }
}
