import { Bell } from '../../shared/handoff.ts'
import type { HeldFiles } from '../../shared/protocol.ts'
import { fromSqlTime, type Ledger } from '../ledger/index.ts'

/** Files that a person decides about, as the ledger has them: looked at now and then, for `status`. */
export class HeldFilesWatch {
  readonly #ledger: Pick<Ledger, 'heldFiles'>
  #report: HeldFiles | undefined

  constructor(options: { ledger: Pick<Ledger, 'heldFiles'> }) {
    this.#ledger = options.ledger
  }

  /** undefined: none, as far as is known. */
  get report(): HeldFiles | undefined {
    return this.#report
  }

  /** The loop; ends when the signal is raised. */
  async run(signal: AbortSignal): Promise<void> {
    const untilStopped = new Bell()
    try {
      while (!signal.aborted) {
        await this.#look()
        await untilStopped.wait(signal, LOOK_INTERVAL_MS)
      }
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
    }
  }

  async #look(): Promise<void> {
    const { files, first } = await this.#ledger.heldFiles(NAMED_MAX)
    const named = first.map(({ name, sha256, heldAt }) => ({
      ...{ name, sha256: sha256.toString('hex'), sinceMs: fromSqlTime(heldAt) },
    }))
    this.#report = files === 0 ? undefined : { files, first: named }
  }
}

const LOOK_INTERVAL_MS = 1_000
/** In `status`. */
const NAMED_MAX = 5
