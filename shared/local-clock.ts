/**
 * The clocks of a time zone: what they show at a moment, and at which moment they show something. From the
 * rules that come with Node.
 */

export class LocalClock {
  readonly timeZone: string
  readonly #format: Intl.DateTimeFormat

  /** @param timeZone as `timeZoneNamed` has it. */
  constructor(timeZone: string) {
    this.timeZone = timeZone
    this.#format = new Intl.DateTimeFormat('en', {
      ...{ timeZone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23' },
      ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
      ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
    })
  }

  /** As `2026-03-29T03:00`. */
  minuteAt(ms: number): string {
    return new Date(ms + this.#offsetMs(ms)).toISOString().slice(0, 16)
  }

  /** The same with its distance from UTC, which tells the hour before the change from the one after it. */
  exactMinuteAt(ms: number): string {
    const minutes = Math.round(this.#offsetMs(ms) / 60_000)
    const [hour, minute] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
    const offset = `${minutes < 0 ? '-' : '+'}${twoDigits(hour)}:${twoDigits(minute)}`
    return `${this.minuteAt(ms)}${offset}`
  }

  /**
   * When the clocks show this (`2026-03-29T03:00`, with seconds if need be). Where they do so twice, the
   * first time; where they skip it, as if they had gone on without: a day whose midnight is skipped begins
   * at the change.
   */
  msAt(local: string): number {
    const asUtc = Date.parse(`${local}Z`)
    const offsets = [this.#offsetMs(asUtc - DAY_MS), this.#offsetMs(asUtc + DAY_MS)] as const
    const shown = offsets
      .map(offset => asUtc - offset)
      .filter(ms => ms + this.#offsetMs(ms) === asUtc)
    return shown.length > 0 ? Math.min(...shown) : asUtc - offsets[0]
  }

  /** What the clocks show more than those of UTC. */
  #offsetMs(ms: number): number {
    const parts = new Map(this.#format.formatToParts(ms).map(({ type, value }) => [type, +value]))
    const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0
    const shown = Date.UTC(
      ...([part('year'), part('month') - 1, part('day')] as const),
      ...([part('hour'), part('minute'), part('second')] as const),
    )
    return shown - Math.floor(ms / 1_000) * 1_000
  }
}

function twoDigits(value: number): string {
  return `${value}`.padStart(2, '0')
}

/** No zone is farther from UTC, and none changes twice within two. */
const DAY_MS = 86_400_000
