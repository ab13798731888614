/**
 * Hours, days and months as they follow one another. Hours are those of UTC, wherever the ledger's days
 * begin; days and months are those of its time zone, so that a day has 23 hours or 25 when its clocks change.
 */

import type { LocalClock } from '../../../shared/local-clock.ts'
import { monthOf } from '../../../shared/time-zone.ts'
import { type Granularity, sqlTime } from '../schema/tables.ts'

export interface UsagePeriod {
  /** As its rows have it: `2026-03-29 01:00:00` in UTC, `2026-03-29`, `2026-03-01`. */
  readonly start: string
  readonly fromMs: number
  /** Not in it any more. */
  readonly toMs: number
}

/** A time as somebody gives it: a moment, or what the ledger's clocks show then. */
export type GivenTime = { readonly ms: number } | { readonly local: string }

export function msOf(time: GivenTime, clock: LocalClock): number {
  return 'ms' in time ? time.ms : clock.msAt(time.local)
}

/** All that have a part in this time, in order. */
export function* periodsIn(
  by: Granularity,
  clock: LocalClock,
  fromMs: number,
  toMs: number,
): Generator<UsagePeriod> {
  for (let period = periodAt(by, clock, fromMs); period.fromMs < toMs; ) {
    // A day that the clocks leave out.
    if (period.toMs > period.fromMs) yield period
    period = periodFrom(by, clock, nextStart(by, period))
  }
}

/** The one that a moment is in. */
export function periodAt(by: Granularity, clock: LocalClock, ms: number): UsagePeriod {
  return periodFrom(by, clock, startOf(by, dayAt(clock, ms), ms))
}

/** What its rows have as its start. */
export function startOf(by: Granularity, day: string, ms: number): string {
  if (by === 'hour') return sqlTime(ms - (ms % HOUR_MS)).slice(0, 19)
  return by === 'day' ? day : monthOf(day)
}

export function dayAt(clock: LocalClock, ms: number): string {
  return clock.minuteAt(ms).slice(0, 10)
}

/** The reverse: its beginning. */
export function startMs(by: Granularity, clock: LocalClock, start: string): number {
  return by === 'hour'
    ? Date.parse(`${start.slice(0, 19).replace(' ', 'T')}Z`)
    : clock.msAt(`${start.slice(0, 10)}T00:00`)
}

function periodFrom(by: Granularity, clock: LocalClock, start: string): UsagePeriod {
  const fromMs = startMs(by, clock, start)
  const toMs = by === 'hour' ? fromMs + HOUR_MS : clock.msAt(`${nextDay(by, start)}T00:00`)
  return { start, fromMs, toMs }
}

function nextStart(by: Granularity, { start, toMs }: UsagePeriod): string {
  return by === 'hour' ? startOf(by, '', toMs) : nextDay(by, start)
}

/** The first day behind a day, or a month. */
function nextDay(by: 'day' | 'month' | 'hour', start: string): string {
  const [year = 0, month = 1, day = 1] = start.slice(0, 10).split('-').map(Number)
  const next = by === 'day' ? Date.UTC(year, month - 1, day + 1) : Date.UTC(year, month, 1)
  return new Date(next).toISOString().slice(0, 10)
}

const HOUR_MS = 3_600_000
