/**
 * The metrics as a file for a textfile collector, each time as a whole: who reads it, and a crash, sees the one
 * before or the next, and beside it perhaps a hidden one that no collector takes. It is for others to read. At
 * the end it is removed, as what it says would be true no longer; after a crash its age tells.
 */

import { chmod, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { systemReason } from '../../../shared/errors.ts'
import { Bell } from '../../../shared/handoff.ts'
import type { Log } from '../../../shared/log.ts'

const INTERVAL_MS = 15_000

export class MetricsFile {
  readonly #path: string
  readonly #text: () => Promise<string>
  readonly #log: Log
  #trouble: string | undefined

  constructor(path: string, text: () => Promise<string>, log: Log) {
    this.#path = path
    this.#text = text
    this.#log = log
  }

  /** Why the last one could not be written. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    while (!signal.aborted) {
      await this.#write()
      await untilStopped.wait(signal, INTERVAL_MS)
    }
    await rm(this.#path, { force: true }).catch(error => this.#say(systemReason(error)))
  }

  async #write(): Promise<void> {
    const tmp = join(dirname(this.#path), `.${basename(this.#path)}.tmp`)
    try {
      const text = await this.#text()
      // Never through a link that somebody has put there.
      await rm(tmp, { force: true })
      await writeFile(tmp, text, { flag: 'wx' })
      await chmod(tmp, 0o644)
      await rename(tmp, this.#path)
      this.#say(undefined)
    } catch (error) {
      this.#say(`the metrics cannot be written to ${this.#path}: ${systemReason(error)}`)
    }
  }

  #say(trouble: string | undefined): void {
    if (trouble !== undefined && trouble !== this.#trouble) this.#log.warn(trouble)
    this.#trouble = trouble
  }
}
