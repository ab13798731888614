/**
 * What this host's setting of the time zone brings about. Several parsers may share a ledger, and their
 * settings may differ: if each made days anew by its own whenever it counts, they would do so in turn for
 * ever. So a setting decides once, when it has become another one here:
 *
 * - **new**: until the ledger has this zone, whoever has brought it there. Whoever counts sets it.
 * - **agreed**: the ledger had it. If that is another one later, somebody was told so later: it stays, and
 *   is said.
 *
 * Kept in a file of the state directory. A crash before it is written leaves a setting that is new, or one
 * that decides once more; so does a file that is gone or cannot be understood.
 */

import { readFile } from 'node:fs/promises'
import { replaceFile } from '../../../shared/durable.ts'
import { hasCode } from '../../../shared/errors.ts'

interface Memory {
  /** Empty: as the ledger has it. */
  readonly setting: string
  readonly isAgreed: boolean
}

export class ZoneSetting {
  readonly #path: string | undefined
  #memory: Memory | undefined
  #isRead = false

  /** @param path undefined: it is remembered as long as this parser runs. */
  constructor(path: string | undefined) {
    this.#path = path
  }

  /** Whether this setting has decided already. */
  get isAgreed(): boolean {
    return this.#memory?.isAgreed === true
  }

  /** At a start: a setting that is changed, and changed back before it could decide anything, was changed. */
  async note(setting: string): Promise<void> {
    await this.#remembered(setting)
  }

  /**
   * The time zone that the ledger is to have.
   *
   * @param setting of now; empty: as the ledger has it. @param there what it has; null: none yet.
   */
  async wanted(setting: string, there: string | null): Promise<string> {
    const { isAgreed } = await this.#remembered(setting)
    if (setting === '') return there ?? 'UTC'
    if (isAgreed) return there ?? setting
    if (there === setting) await this.#keep({ setting, isAgreed: true })
    return setting
  }

  async #remembered(setting: string): Promise<Memory> {
    if (!this.#isRead && this.#path !== undefined) this.#memory = await read(this.#path)
    this.#isRead = true
    if (this.#memory?.setting === setting) return this.#memory
    return this.#keep({ setting, isAgreed: false })
  }

  async #keep(memory: Memory): Promise<Memory> {
    const text = `${JSON.stringify({ version: VERSION, ...memory })}\n`
    if (this.#path !== undefined) await replaceFile(this.#path, text)
    this.#memory = memory
    return memory
  }
}

const VERSION = 1

async function read(path: string): Promise<Memory | undefined> {
  try {
    const { version, setting, isAgreed } = JSON.parse(await readFile(path, 'utf8')) ?? {}
    if (version !== VERSION || typeof setting !== 'string') return undefined
    return { setting, isAgreed: isAgreed === true }
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
