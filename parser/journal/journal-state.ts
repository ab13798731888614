import type { ProcessedFile } from '../../shared/protocol.ts'
import type { JournalState } from './records.ts'

/**
 * Sequences go on from the clock at each start: they name files in work/ and rows in the ledger, and
 * must not come again after a journal was deleted or restored.
 */
export function newState(): JournalState {
  return {
    epoch: 0,
    nextSequence: 0,
    nextNumber: 1,
    ledgerUuid: '',
    rebuiltTo: 0n,
    applied: 0,
    duplicate: 0,
    quarantined: 0,
    bytes: 0,
    lines: 0,
    reverted: 0,
    held: 0,
    rejectedLines: 0,
  }
}

/** As if this file had never come to its end. */
export function countOut(state: JournalState, file: ProcessedFile): JournalState {
  const counted = file.outcome === 'applied'
  return {
    ...state,
    [file.outcome]: state[file.outcome] - 1,
    bytes: state.bytes - (counted ? file.sizeBytes : 0),
    lines: state.lines - (counted ? file.lines : 0),
    rejectedLines: state.rejectedLines - (counted ? (file.rejectedLines ?? 0) : 0),
  }
}

/** With one more file that has come to its end. */
export function countIn(state: JournalState, file: ProcessedFile): JournalState {
  const counted = file.outcome === 'applied'
  return {
    ...state,
    [file.outcome]: state[file.outcome] + 1,
    bytes: state.bytes + (counted ? file.sizeBytes : 0),
    lines: state.lines + (counted ? file.lines : 0),
    rejectedLines: state.rejectedLines + (counted ? (file.rejectedLines ?? 0) : 0),
  }
}
