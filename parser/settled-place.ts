import { dirname, join } from 'node:path'
import { makeDirectories } from '../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import { type StatePaths, settledName, workName } from '../shared/paths.ts'
import { hasHash, type QueueEntry } from './journal/records.ts'
import { type MoveFailure, moveToFreeName, statsOf } from './moves.ts'

/**
 * Where a file with an outcome goes: archive/, duplicate/ or quarantine/, under a name that carries
 * its hash, or says that it was never read to its end. No other file ever loses such a name: where it
 * is taken, the file's own sequence is put into it.
 */
export class SettledPlace {
  readonly #paths: StatePaths
  /** Given out, and not moved to yet. */
  readonly #given = new Map<string, number>()

  constructor(paths: StatePaths) {
    this.#paths = paths
  }

  workPath({ sequence, name }: QueueEntry): string {
    return join(this.#paths.work, workName(sequence, name))
  }

  /** The same at each call, until the file is moved there. */
  of(entry: QueueEntry): string {
    const { name, sequence, digest } = entry
    const directory = this.#directoryOf(entry)
    if (digest === undefined || !hasHash(digest)) {
      return join(directory, `${name}.unread.${sequence}`)
    }
    const usual = join(directory, settledName(name, digest.sha256))
    const owner = this.#given.get(usual)
    const isFree = owner === undefined ? this.#isFree(usual, entry) : owner === sequence
    if (!isFree) return join(directory, settledName(`${name}.${sequence}`, digest.sha256))
    this.#given.set(usual, sequence)
    return usual
  }

  /** One of our directories that somebody has removed is made again. */
  async move(entry: QueueEntry): Promise<MoveFailure | undefined> {
    const [from, to] = [this.workPath(entry), this.of(entry)]
    let failure = attempt(from, to)
    if (failure !== undefined && !failure.isGone && statsOrNone(dirname(to)) === undefined) {
      failure = await makeDirectories(dirname(to)).then(
        () => attempt(from, to),
        error => ({ isGone: false, why: toError(error).message }),
      )
    }
    const isOver = failure === undefined || failure.isGone
    if (isOver && this.#given.get(to) === entry.sequence) this.#given.delete(to)
    return failure
  }

  #isFree(path: string, entry: QueueEntry): boolean {
    const there = statsOrNone(path)
    if (there === undefined) return true
    const own = statsOrNone(this.workPath(entry))
    return own !== undefined && own.ino === there.ino && own.dev === there.dev
  }

  #directoryOf({ name, outcome, disposable }: QueueEntry): string {
    if (outcome === undefined) {
      throw new CountersinkError(
        'JOURNAL_UNREADABLE',
        `the entry of ${name} is settling without an outcome`,
      )
    }
    const { archive, archiveDisposable, duplicate, quarantine } = this.#paths
    const applied = disposable ? archiveDisposable : archive
    return { applied, duplicate, quarantined: quarantine }[outcome]
  }
}

function attempt(from: string, to: string): MoveFailure | undefined {
  try {
    return moveToFreeName(from, to)
  } catch (error) {
    if (!hasCode(error, 'IO_FAILED')) throw error
    return { isGone: false, why: toError(error).message }
  }
}

function statsOrNone(path: string) {
  try {
    return statsOf(path)
  } catch {
    // It cannot be looked at: moving there will say why.
    return undefined
  }
}
