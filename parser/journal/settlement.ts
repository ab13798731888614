import type { Outcome, ProcessedFile } from '../../shared/protocol.ts'
import { type CheckpointTally, hexOf, type QueueEntry } from '../facts.ts'

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
  // No object for each thing that may be missing: this runs for every file.
  const file: { -readonly [fact in keyof ProcessedFile]: ProcessedFile[fact] } = {
    number,
    name,
    outcome,
    claimedAtMs,
    ...facts,
  }
  if (origin !== undefined) file.origin = hexOf(origin)
  if (publishedAtMs !== undefined) file.publishedAtMs = publishedAtMs
  if (announcedAtMs !== undefined) file.announcedAtMs = announcedAtMs
  if (entry.terms?.usedAtMs !== undefined) file.usedAtMs = entry.terms.usedAtMs
  if (checkpoints !== undefined) file.checkpoints = checkpoints
  return file
}
