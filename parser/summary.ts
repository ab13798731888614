/**
 * One line a minute of what the parser has done since the last one, for whoever has turned off the lines
 * of each file or wants figures to draw. A minute in which nothing moved has none: that something waits was
 * said once. The end of the parser has one of what is left to tell, so that all of them add up.
 */

import type { ParserEvents } from '../shared/events.ts'
import { Bell } from '../shared/handoff.ts'
import type { Log } from '../shared/log.ts'

export class Summary {
  readonly #log: Log
  readonly #queue: { readonly files: number; readonly bytes: number }
  #sinceMs = performance.now()
  #done = nothing()
  #hasMoved = false
  /** How far each file has come that is read, or was and will be again. */
  readonly #reading = new Map<string, number>()
  #awaySinceMs: number | undefined
  #isStatementLong = false

  constructor(options: {
    events: ParserEvents
    log: Log
    /** What waits now. */
    queue: { readonly files: number; readonly bytes: number }
  }) {
    this.#log = options.log
    this.#queue = options.queue
    this.#listen(options.events)
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal, intervalMs = 60_000): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await untilStopped.wait(signal, intervalMs)
      if (!signal.aborted) this.tell()
    }
  }

  /** What was done since it was told last, if that is anything. */
  tell(): void {
    const nowMs = performance.now()
    const seconds = Math.max(0.001, (nowMs - this.#sinceMs) / 1_000)
    this.#sinceMs = nowMs
    this.#noteAway(this.#awaySinceMs === undefined ? undefined : nowMs)
    if (!this.#hasMoved) return
    const { countMs, databaseAwayMs, ...done } = this.#done
    const perSecond = (count: number): number => Math.round(count / seconds)
    this.#log.notice('summary', {
      ...{ seconds: Math.round(seconds * 10) / 10, ...done },
      ...{ countMs: Math.round(countMs), databaseAwayMs: Math.round(databaseAwayMs) },
      linesPerSecond: perSecond(done.lines),
      readBytesPerSecond: perSecond(done.readBytes),
      ...{ queueFiles: this.#queue.files, queueBytes: this.#queue.bytes },
    })
    this.#done = nothing()
    this.#hasMoved = false
  }

  #listen(events: ParserEvents): void {
    events.on('claimed', () => {
      this.#moved().claimed += 1
    })
    events.on('reading', ({ name, positionBytes }) => {
      this.#moved().readBytes += this.#step(name, positionBytes)
      this.#reading.set(name, positionBytes)
    })
    events.on('digested', ({ name, sizeBytes }) => {
      this.#moved().readBytes += this.#step(name, sizeBytes)
      this.#reading.delete(name)
    })
    events.on('chunk', ({ pairs }) => {
      this.#moved().pairs += pairs
    })
    events.on('applied', ({ countMs }) => {
      const done = this.#moved()
      done.batches += 1
      done.countMs += countMs
    })
    events.on('settled', ({ file }) => {
      const done = this.#moved()
      done[file.outcome] += 1
      done.bytes += file.sizeBytes
      done.lines += file.lines
      if (file.outcome === 'applied') done.rejectedLines += file.rejectedLines ?? 0
      if (file.outcome === 'applied') done.amount += BigInt(file.amount)
    })
    events.on('database', ({ awayBecause }) => {
      this.#noteAway(awayBecause === undefined ? undefined : performance.now())
    })
    events.on('statement', statement => {
      if (statement !== undefined && !this.#isStatementLong) this.#done.longStatements += 1
      this.#isStatementLong = statement !== undefined
    })
  }

  #moved() {
    this.#hasMoved = true
    return this.#done
  }

  /** What was read since then: a file that is read again begins anew. */
  #step(name: string, positionBytes: number): number {
    const before = this.#reading.get(name) ?? 0
    return positionBytes >= before ? positionBytes - before : positionBytes
  }

  #noteAway(sinceMs: number | undefined): void {
    if (this.#awaySinceMs !== undefined) {
      this.#done.databaseAwayMs += performance.now() - this.#awaySinceMs
    }
    this.#awaySinceMs = sinceMs
  }
}

function nothing() {
  return {
    ...{ claimed: 0, applied: 0, duplicate: 0, quarantined: 0, reverted: 0, held: 0 },
    /** Of the files that came to an end, and what of them was counted. */
    ...{ bytes: 0, lines: 0, rejectedLines: 0, amount: 0n },
    /** Also of those that are being read. */
    readBytes: 0,
    ...{ batches: 0, pairs: 0, countMs: 0, databaseAwayMs: 0, longStatements: 0 },
  }
}
