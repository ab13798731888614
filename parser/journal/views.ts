import { setImmediate } from 'node:timers/promises'
import { RECORDS_PER_ANSWER_MAX } from '../../shared/limits.ts'
import type {
  AnswerTo,
  ContentAnswer,
  ContentMatch,
  ProcessedFile,
  ProcessedPage,
  Question,
  QueuedFile,
  QueuePage,
} from '../../shared/protocol.ts'
import type { QueueEntry } from '../facts.ts'
import { contentOf } from './content-index.ts'
import { decodeProgress, decodeQueueEntry, type EntryProgress } from './queue-records.ts'
import { type ContentRecord, decodeContent, decodeProcessed } from './records.ts'
import { keyNumber, numberKey } from './sealed-record.ts'
import type { Tables } from './tables.ts'

/** Records looked at for one answer, so that a rare outcome cannot keep its asker waiting. */
const RECORDS_PER_SCAN_MAX = 2_000
/** Records looked at before others on the event loop get a turn. */
const RECORDS_PER_SLICE = 100
/** Entries decoded in about a millisecond. */
const QUEUE_SLICE = 128
/** Waiting files looked at for one question about a content. */
const QUEUE_SCAN_MAX = 20_000
/** Records looked at for the newest counted files, once there is one. */
const NEWEST_SCAN_MAX = 100_000
const SHA256_BYTES = 32
/** Numbers are keys of six bytes. */
const KEY_MAX = 2 ** 48 - 1

/** Everything that is only read, for the parser's own answers and for the CLI while it is down. */
export class JournalView {
  protected readonly tables: Tables

  constructor(tables: Tables) {
    this.tables = tables
  }

  processed(number: number): ProcessedFile | undefined {
    const record = this.tables.processed.get(numberKey(number))
    return record && decodeProcessed(number, record)
  }

  content(sha256: Uint8Array): ContentRecord | undefined {
    return contentOf(this.tables, sha256)
  }

  queued(sequence: number): QueueEntry | undefined {
    const record = this.tables.queue.get(numberKey(sequence))
    return record && decodeQueueEntry(sequence, record)
  }

  protected progressOf(sequence: number): EntryProgress | undefined {
    const record = this.tables.queue.get(numberKey(sequence))
    return record && decodeProgress(record)
  }

  /** Entries from this sequence on, ascending. The range must not be held across a wait. */
  *queuedFrom(sequence: number, limit: number): Generator<QueueEntry> {
    if (sequence > KEY_MAX) return
    for (const { key, value } of this.tables.queue.getRange({
      start: numberKey(sequence),
      limit,
    })) {
      yield decodeQueueEntry(keyNumber(key), value)
    }
  }

  /**
   * All entries, ascending, a slice at a time: a queue may be long, and the event loop is free between
   * two slices. Each slice is as the queue is then.
   */
  async *queueInSlices(): AsyncGenerator<QueueEntry[]> {
    for (let from = 0; ; ) {
      const slice = [...this.queuedFrom(from, QUEUE_SLICE)]
      const last = slice.at(-1)
      if (last === undefined) return
      yield slice
      from = last.sequence + 1
      await setImmediate()
    }
  }

  /** @param recordsMax in one answer; more where it need not fit into a frame. */
  answer<T extends Question>(question: T, recordsMax = RECORDS_PER_ANSWER_MAX): AnswerTo<T> {
    const steps = this.answering(question, recordsMax)
    for (;;) {
      const step = steps.next()
      if (step.done) return step.value as AnswerTo<T>
    }
  }

  /** The same in slices, for who has other things to do: stops where others may get a turn. */
  *answering(
    question: Question,
    recordsMax = RECORDS_PER_ANSWER_MAX,
  ): Generator<void, AnswerTo<Question>> {
    switch (question.kind) {
      case 'newest': {
        const { before, outcome } = question
        const start = Math.min(before === undefined ? KEY_MAX : before - 1, KEY_MAX)
        return yield* this.#page({ start, reverse: true, outcome, recordsMax })
      }
      case 'after': {
        const start = question.number + 1
        return yield* this.#page({ start, reverse: false, outcome: undefined, recordsMax })
      }
      case 'content':
        return this.#contents(question.prefix)
      case 'queue':
        return this.#queue(question.after, recordsMax)
      case 'inbox':
      case 'trail':
        // For who looks into the inbox, or asks the ledger as well.
        return {}
    }
  }

  /** The newest counted files, newest first: at least one, if there is any. */
  newestApplied(limit: number): ProcessedFile[] {
    const found: ProcessedFile[] = []
    let seen = 0
    for (const { key, value } of this.tables.processed.getRange({ reverse: true })) {
      seen += 1
      const file = decodeProcessed(keyNumber(key), value)
      if (file.outcome === 'applied') found.push(file)
      if (found.length === limit || (found.length > 0 && seen >= NEWEST_SCAN_MAX)) break
    }
    return found
  }

  #queue(after: number, recordsMax: number): QueuePage {
    const entries = [...this.queuedFrom(after + 1, recordsMax)]
    const last = entries.at(-1)
    return {
      queued: entries.map(
        ({ sequence, name, sizeBytes, stage, claimedAtMs, checkpoint, runName }): QueuedFile => ({
          ...{ sequence, name, sizeBytes, stage, claimedAtMs },
          ...(checkpoint === undefined ? {} : { checkpointBytes: checkpoint.positionBytes }),
          ...(runName === undefined ? {} : { runName }),
        }),
      ),
      ...(last === undefined || entries.length < recordsMax ? {} : { next: last.sequence }),
    }
  }

  *#page(from: {
    start: number
    reverse: boolean
    outcome: string | undefined
    recordsMax: number
  }): Generator<void, ProcessedPage> {
    const files: ProcessedFile[] = []
    let start = from.start
    for (let seen = 0; start >= 0 && start <= KEY_MAX; ) {
      let number: number | undefined
      for (const { key, value } of this.tables.processed.getRange({
        start: numberKey(start),
        reverse: from.reverse,
        limit: RECORDS_PER_SLICE,
      })) {
        seen += 1
        number = keyNumber(key)
        const file = decodeProcessed(number, value)
        if (from.outcome === undefined || file.outcome === from.outcome) files.push(file)
        if (files.length === from.recordsMax || seen === RECORDS_PER_SCAN_MAX) {
          return { files, next: number }
        }
      }
      if (number === undefined) break
      start = from.reverse ? number - 1 : number + 1
      yield
    }
    return { files }
  }

  /** What the index knows of the contents whose hash begins so: two at the most. */
  contents(prefix: string): ContentMatch[] {
    const start = Buffer.alloc(SHA256_BYTES, 0)
    start.write(prefix.padEnd(64, '0'), 'hex')
    const found: ContentMatch[] = []
    for (const { key, value } of this.tables.contents.getRange({ start, limit: 2 })) {
      const sha256 = Buffer.from(key).toString('hex')
      if (!sha256.startsWith(prefix)) break
      const content = decodeContent(value)
      const own = content.applied === 0 ? undefined : this.processed(content.applied)
      const applied = own?.outcome === 'applied' ? own : undefined
      const last =
        own !== applied ? own : content.last === 0 ? undefined : this.processed(content.last)
      found.push({
        sha256,
        ...(applied === undefined ? {} : { applied }),
        ...(last === undefined ? {} : { last }),
        ...(content.claim === 0 ? {} : { waiting: true }),
      })
    }
    return found
  }

  /** With what waits to be read: nobody keeps an index of that while the parser is down. */
  #contents(prefix: string): ContentAnswer {
    const waiting = new Set<string>()
    for (const { stage, expected } of this.queuedFrom(0, QUEUE_SCAN_MAX)) {
      if (stage !== 'claimed' || !expected?.sha256?.startsWith(prefix)) continue
      waiting.add(expected.sha256)
      if (waiting.size > 1) break
    }
    return { matches: withWaiting(this.contents(prefix), waiting) }
  }
}

/** Contents of which files are on their way that were not read yet, beside what is known; two at the most. */
export function withWaiting(
  known: readonly ContentMatch[],
  waiting: Iterable<string>,
): ContentMatch[] {
  const found = new Map(known.map(match => [match.sha256, match]))
  for (const sha256 of waiting) {
    found.set(sha256, { ...found.get(sha256), sha256, waiting: true })
  }
  return [...found.values()].slice(0, 2)
}
