import type { Config } from '../../shared/config.ts'
import type { RejectLimit } from '../../shared/reject-limit.ts'
import type { QueueEntry } from '../facts.ts'

/**
 * How many bad lines of a file may be put aside: what was asked for with it, else what is configured.
 * What was let pass before a restart is let pass again: its content may be in the ledger by now.
 */
export function rejectLimitOf(
  { terms, digest }: Pick<QueueEntry, 'terms' | 'digest'>,
  config: Pick<Config, 'rejectLines'>,
): RejectLimit {
  const passed = digest?.rejectedLines ?? 0
  if (passed > 0) return { kind: 'lines', count: passed }
  return terms?.rejectLines ?? config.rejectLines
}
