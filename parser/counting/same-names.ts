import type { Log } from '../../shared/log.ts'
import type { SameNames } from '../../shared/protocol.ts'

/**
 * Says loudly when a name was counted with other content before: by content these are different files,
 * and both are in the totals, but perhaps the second was meant to take the first one's place.
 */
export class SameNameNotices {
  readonly #log: Log
  readonly #newest: { name: string; contents: number }[] = []
  #names = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** @param names and with how many contents each is in the totals now. */
  note(names: ReadonlyMap<string, number>): void {
    for (const [name, contents] of names) {
      this.#names += 1
      this.#newest.unshift({ name, contents })
      this.#log.warn(
        'the same name was counted before with other content: both are in the totals now',
        { name, code: 'SAME_NAME', contents },
      )
    }
    this.#newest.splice(NEWEST_MAX)
  }

  /** Since the start; undefined if there were none. */
  get report(): SameNames | undefined {
    return this.#names === 0 ? undefined : { files: this.#names, newest: [...this.#newest] }
  }
}

const NEWEST_MAX = 5
