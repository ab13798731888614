import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import type { CheckpointTally, QueueEntry } from '../facts.ts'

/** The end of one file's way. */
export interface Settlement {
  readonly entry: QueueEntry
  readonly outcome: Outcome
  readonly facts: Omit<ProcessedFile, 'number' | 'name' | 'outcome' | 'claimedAtMs'>
}

/** What the history keeps of it. */
export function processedFile(
  { entry, outcome, facts }: Settlement,
  number: number,
  checkpoints: CheckpointTally | undefined,
): ProcessedFile {
  const { name, claimedAtMs, provenance } = entry
  const { origin, publishedAtMs, announcedAtMs } = provenance ?? {}
  return {
    ...{ number, name, outcome, claimedAtMs },
    ...(origin === undefined ? {} : { origin: Buffer.from(origin).toString('hex') }),
    ...(publishedAtMs === undefined ? {} : { publishedAtMs }),
    ...(announcedAtMs === undefined ? {} : { announcedAtMs }),
    ...(checkpoints === undefined ? {} : { checkpoints }),
    ...facts,
  }
}
