/**
 * The calendar of a time zone: on which day a moment falls there. From the rules that come with Node, so
 * that summer and winter are right; of which two machines may have different editions. What was decided
 * once is therefore written down, and not asked for again.
 */

/** The name as the rules have it; undefined: there is no such time zone. An offset is no name. */
export function timeZoneNamed(text: string): string | undefined {
  if (!/^[A-Za-z]/.test(text)) return undefined
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions()
    return timeZone.toLowerCase() === text.toLowerCase() ? timeZone : text
  } catch {
    return undefined
  }
}

/** Days of one time zone. */
export class Calendar {
  readonly timeZone: string
  readonly #format: Intl.DateTimeFormat

  /** @param timeZone as `timeZoneNamed` has it. */
  constructor(timeZone: string) {
    this.timeZone = timeZone
    this.#format = new Intl.DateTimeFormat('en', {
      timeZone,
      calendar: 'gregory',
      ...{ numberingSystem: 'latn', year: 'numeric', month: '2-digit', day: '2-digit' },
    })
  }

  /** As `2026-03-29`. */
  dayOf(ms: number): string {
    const parts = new Map(this.#format.formatToParts(ms).map(({ type, value }) => [type, value]))
    return `${parts.get('year')?.padStart(4, '0')}-${parts.get('month')}-${parts.get('day')}`
  }
}

/** The first day of the month that a day is in. */
export function monthOf(day: string): string {
  return `${day.slice(0, 7)}-01`
}
