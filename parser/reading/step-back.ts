/**
 * Files that could not be read or counted for want of room, and when each is tried again: after a
 * pause that doubles each time, so that one which will never fit leaves time and room to the others.
 * At most as many as are queued. A restart forgets the pauses, and tries all again.
 */
export class StepBack {
  readonly #files = new Map<number, Waiting>()

  /** The first of those that wait, for `status`. */
  get reason(): string | undefined {
    const waiting = [...this.#files.values()].filter(({ dueAtMs }) => dueAtMs !== undefined)
    const [first] = waiting
    if (first === undefined) return undefined
    const others = waiting.length > 1 ? ` (and ${waiting.length - 1} more files)` : ''
    return `${JSON.stringify(first.name)} waits for room: ${first.reason}${others}`
  }

  /** @returns whether it is the first time. */
  add(file: { readonly sequence: number; readonly name: string }, reason: string): boolean {
    const tries = (this.#files.get(file.sequence)?.tries ?? 0) + 1
    const pauseMs = Math.min(PAUSE_MS_MIN * 2 ** Math.min(tries - 1, 30), PAUSE_MS_MAX)
    const dueAtMs = performance.now() + pauseMs
    this.#files.set(file.sequence, { name: file.name, reason, tries, dueAtMs })
    return tries === 1
  }

  /** A file whose time has come; it is not given again unless it is added again. */
  takeDue(): number | undefined {
    for (const [sequence, file] of this.#files) {
      if (file.dueAtMs === undefined || file.dueAtMs > performance.now()) continue
      file.dueAtMs = undefined
      return sequence
    }
    return undefined
  }

  /** How long until the next is due; undefined: none waits. */
  get dueInMs(): number | undefined {
    let first: number | undefined
    for (const { dueAtMs } of this.#files.values()) {
      if (dueAtMs !== undefined && dueAtMs < (first ?? Number.POSITIVE_INFINITY)) first = dueAtMs
    }
    return first === undefined ? undefined : Math.max(first - performance.now(), 1)
  }

  /** It came to its end. */
  forget(sequence: number): void {
    this.#files.delete(sequence)
  }
}

interface Waiting {
  readonly name: string
  readonly reason: string
  readonly tries: number
  /** By the clock of `performance.now`; undefined while it is tried. */
  dueAtMs: number | undefined
}

const PAUSE_MS_MIN = 1_000
const PAUSE_MS_MAX = 300_000
