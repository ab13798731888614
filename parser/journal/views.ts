import { setImmediate } from 'node:timers/promises'
import type { Database, RootDatabase } from 'lmdb'
import { RECORDS_PER_ANSWER_MAX } from '../../shared/limits.ts'
import type {
  AnswerTo,
  ContentAnswer,
  ProcessedFile,
  ProcessedPage,
  Question,
  QueuedFile,
  QueuePage,
} from '../../shared/protocol.ts'
import {
  type ContentRecord,
  decodeContent,
  decodeProcessed,
  decodeQueueEntry,
  keyNumber,
  numberKey,
  type QueueEntry,
} from './records.ts'

export type Table = Database<Buffer, Buffer>

/** The journal's four tables. */
export interface Tables {
  /** One key: the journal's own state. */
  readonly state: Table
  /** sequence → QueueEntry, for files between claim and archive. */
  readonly queue: Table
  /** number → ProcessedFile, in the order of settling. */
  readonly processed: Table
  /** sha256 → ContentRecord, for ever. */
  readonly contents: Table
}

export const STATE_KEY = Buffer.from('state')
const TABLE_OPTIONS = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const

export function openTables(root: RootDatabase): Tables {
  const table = (name: string): Table => root.openDB<Buffer, Buffer>({ name, ...TABLE_OPTIONS })
  return {
    state: table('state'),
    queue: table('queue'),
    processed: table('processed'),
    contents: table('contents'),
  }
}

/** Records looked at for one answer, so that a rare outcome cannot hold up the event loop. */
const RECORDS_PER_SCAN_MAX = 2_000
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
    const record = this.tables.contents.get(Buffer.from(sha256))
    return record && decodeContent(record)
  }

  queued(sequence: number): QueueEntry | undefined {
    const record = this.tables.queue.get(numberKey(sequence))
    return record && decodeQueueEntry(sequence, record)
  }

  /** Entries from this sequence on, ascending. The range must not be held across a wait. */
  *queuedFrom(sequence: number, limit: number): Generator<QueueEntry> {
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
    return this.#answer(question, recordsMax) as AnswerTo<T>
  }

  #answer(question: Question, recordsMax: number): AnswerTo<Question> {
    switch (question.kind) {
      case 'newest':
        return this.#page({
          ...(question.before === undefined ? {} : { start: question.before - 1 }),
          reverse: true,
          outcome: question.outcome,
          recordsMax,
        })
      case 'after':
        return this.#page({
          ...{ start: question.number + 1, reverse: false, outcome: undefined },
          recordsMax,
        })
      case 'content':
        return this.#contents(question.prefix)
      case 'queue':
        return this.#queue(question.after, recordsMax)
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

  #page(from: {
    start?: number
    reverse: boolean
    outcome: string | undefined
    recordsMax: number
  }): ProcessedPage {
    if (from.start !== undefined && from.start < 0) return { files: [] }
    const files: ProcessedFile[] = []
    let seen = 0
    for (const { key, value } of this.tables.processed.getRange({
      ...(from.start === undefined ? {} : { start: numberKey(Math.min(from.start, KEY_MAX)) }),
      reverse: from.reverse,
      limit: RECORDS_PER_SCAN_MAX,
    })) {
      seen += 1
      const number = keyNumber(key)
      const file = decodeProcessed(number, value)
      if (from.outcome === undefined || file.outcome === from.outcome) files.push(file)
      if (files.length === from.recordsMax || seen === RECORDS_PER_SCAN_MAX) {
        return { files, next: number }
      }
    }
    return { files }
  }

  #contents(prefix: string): ContentAnswer {
    const start = Buffer.alloc(SHA256_BYTES, 0)
    start.write(prefix.padEnd(64, '0'), 'hex')
    const found = new Map<string, ContentAnswer['matches'][number]>()
    for (const { key, value } of this.tables.contents.getRange({ start, limit: 2 })) {
      const sha256 = Buffer.from(key).toString('hex')
      if (!sha256.startsWith(prefix)) break
      const content = decodeContent(value)
      const applied = content.applied === 0 ? undefined : this.processed(content.applied)
      const last = content.last === 0 ? undefined : this.processed(content.last)
      found.set(sha256, {
        sha256,
        ...(applied === undefined ? {} : { applied }),
        ...(last === undefined ? {} : { last }),
        ...(content.claim === 0 ? {} : { waiting: true }),
      })
    }
    for (const entry of this.queuedFrom(0, QUEUE_SCAN_MAX)) {
      const sha256 = entry.expected?.sha256
      if (entry.stage !== 'claimed' || !sha256?.startsWith(prefix)) continue
      found.set(sha256, { ...found.get(sha256), sha256, waiting: true })
      if (found.size > 1) break
    }
    return { matches: [...found.values()].slice(0, 2) }
  }
}
