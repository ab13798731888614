/**
 * What a supervisor tells of itself, in a file for others to read: the last change wins, and writes
 * never overlap. What cannot be written is said, once for each reason; what the supervisor does does
 * not depend on it.
 */

import { replaceFile } from '../../shared/durable.ts'
import { describeError } from '../../shared/errors.ts'
import type { SupervisorStatus } from '../state/index.ts'

export class StatusFile {
  readonly #path: string
  readonly #onTrouble: (text: string) => void
  #lastSaid = ''
  #writing: Promise<void> = Promise.resolve()

  constructor(path: string, onTrouble: (text: string) => void) {
    this.#path = path
    this.#onTrouble = onTrouble
  }

  /** @param status as it is when its turn has come. */
  write(status: () => SupervisorStatus): void {
    this.#writing = this.#writing
      .then(() => replaceFile(this.#path, `${JSON.stringify(status())}\n`))
      .catch(error => this.#say(describeError(error)))
  }

  /** Resolves when nothing is being written. */
  written(): Promise<void> {
    return this.#writing
  }

  #say(text: string): void {
    if (text === this.#lastSaid) return
    this.#lastSaid = text
    this.#onTrouble(text)
  }
}
