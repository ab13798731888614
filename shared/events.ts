/**
 * What happens to files and batches in the parser, as events with types: the rooms emit them when it
 * has happened, durably where a step is durable, and know nobody who listens. The log, the health
 * report and the socket subscribe; so does whatever comes to count or to draw.
 *
 * A listener runs within the step that emits, so it is quick and never waits; what it throws is a
 * fault of ours and ends the process like one in the step. Oddities that only a reader of the log
 * wants to know of go to the log directly.
 *
 * Times are milliseconds; `…Ms` without "At" are durations. Hashes and batch ids are hex.
 */

import { EventEmitter } from 'node:events'
import type { ProcessedFile } from './protocol.ts'

export interface ParserEventMap {
  /** P1: it stands in work/ and in the journal. */
  claimed: [{ name: string; sequence: number; sizeBytes: number; hasManifest: boolean }]
  /** A piece of a file is read. */
  reading: [{ name: string; positionBytes: number; sizeBytes: number }]
  /** P2: what was read so far need not be summed again. */
  checkpointed: [{ name: string; sequence: number; positionBytes: number }]
  /** It is read to its end, or cannot be; if it is to be counted, that is in the journal (P3). */
  digested: [
    {
      name: string
      sequence: number
      sizeBytes: number
      verdict: 'count' | 'duplicate' | 'quarantine'
      /** In the queue until it was begun to be read, and reading. */
      queuedMs: number
      readMs: number
    },
  ]
  /** P4: the batch is in the ledger. */
  begun: [{ batch: string; files: number; pairs: number }]
  /** P5: so many of its pairs are in the totals, with their cursor. */
  chunk: [{ batch: string; pairs: number }]
  /** P6: all of it is in the totals. From its beginning, or from where it was taken up again. */
  applied: [{ batch: string; files: number; pairs: number; countMs: number }]
  /** P8: its outcome is in the journal, and it has left work/, if it can. */
  settled: [{ file: ProcessedFile; sequence: number; stages: StageDurations }]
  /** Nothing is written until something is there again: room, a directory. */
  waiting: [{ for: WaitedFor; because: string }]
  resumed: [{ for: WaitedFor }]
  /** MariaDB came, went, or is not as it must be. */
  database: [Availability]
  /** Of several hosts another one is used than before. */
  host: [HostInUse]
  /** A statement has not been answered for long; undefined: it is. */
  statement: [LongStatement | undefined]
}

export type WaitedFor = 'room' | 'directory'

export interface Availability {
  /** undefined: it can be written to. */
  readonly awayBecause: string | undefined
  /** It answers, but is not, or not as, it must be: somebody has to look. */
  readonly isUnfit: boolean
}

export interface PassedOver {
  readonly host: string
  readonly because: string
}

export interface HostInUse {
  readonly host: string
  /** Those that were tried before it. */
  readonly passedOver: readonly PassedOver[]
}

export interface LongStatement {
  readonly ageSeconds: number
  readonly waitsFor: string
}

/** How long a file was in each stage; what it never came to, or an earlier process did, is missing. */
export interface StageDurations {
  readonly queuedMs?: number
  readonly readMs?: number
  /** Read, until the batch that it is in was begun to be made. */
  readonly waitedMs?: number
  /** That batch, from its making to its end: shared by all of its files. */
  readonly countMs?: number
  /** From there, or from the verdict, until it had left work/. */
  readonly settleMs?: number
}

export class ParserEvents extends EventEmitter<ParserEventMap> {}
