/**
 * How fast files are counted, from what the service said last and some time before: it tells how much it
 * has done since its start, and two of these make a rate. A start anew begins the count again.
 */

import type { Status } from './answers.ts'

interface Sample {
  readonly atMs: number
  readonly pid: number | null
  readonly bytes: number
  readonly lines: number
}

export interface Rate {
  readonly overMs: number
  readonly bytesPerSecond: number
  readonly linesPerSecond: number
}

const WINDOW_MS = 60_000
/** Of a view that is asked every few seconds, more than a minute. */
const SAMPLES_MAX = 64

const samples: Sample[] = []

/** undefined: it was looked at once only. */
export function rateAfter({ parser, sinceStart }: Status, nowMs: number): Rate | undefined {
  if (sinceStart === null) return undefined
  const { bytes, lines } = sinceStart
  const now: Sample = { atMs: nowMs, pid: parser.pid, bytes, lines }
  const [last] = samples.slice(-1)
  if (last !== undefined && (last.pid !== now.pid || last.lines > lines)) samples.length = 0
  samples.push(now)
  while (samples.length > SAMPLES_MAX || samples[0]!.atMs < nowMs - WINDOW_MS) samples.shift()
  const first = samples[0]!
  const overMs = nowMs - first.atMs
  if (overMs < 1_000) return undefined
  return {
    overMs,
    bytesPerSecond: ((bytes - first.bytes) * 1_000) / overMs,
    linesPerSecond: ((lines - first.lines) * 1_000) / overMs,
  }
}
