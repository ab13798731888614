/**
 * Which run files exist, who needs them, and when they are deleted.
 *
 * A run is born in the sum thread, is durable before a checkpoint names it, never changes, and its name
 * is never given again: a number drawn for each digest is part of it. Three parties need runs:
 *
 * - **live**: the sum thread goes on with them.
 * - **pending**: a checkpoint that names them is on its way to the caller.
 * - **committed**: the last checkpoint that `onCheckpoint` has made durable names them, or the one
 *   that the digest was resumed from. From the next commit on only that one counts.
 *
 * A run that nobody needs is deleted. Merging therefore deletes nothing by itself: the runs that
 * were merged stop being live, and go once a checkpoint is committed that does not name them.
 *
 * The digest ends well: the final run alone is live, and the last checkpoint's runs stay until
 * `release`, since before P3 is durable a crash goes on from that checkpoint. `discard` deletes the
 * final run too. It ends otherwise (stopped, failed): the last checkpoint's runs stay.
 *
 * What a crash leaves, and what is done about it:
 *
 * | crash | left behind | the next start |
 * | --- | --- | --- |
 * | while a run is written | `.NAME.tmp` | swept |
 * | run renamed, no checkpoint names it | a run that nothing durable names | swept |
 * | runs merged, before the next commit | the old runs (named) and the merged one (not) | goes on from the old ones, merged one swept |
 * | checkpoint committed, before the deletion | runs that only older checkpoints named | swept |
 * | while the first overflow is searched for (first-overflow.ts) | runs of the search, that nothing durable names | goes on from the checkpoint, searches again, those runs swept |
 * | final run sealed, before P3 | the last checkpoint's runs, and the final run | goes on from that checkpoint, final run swept |
 * | P3 durable, before `release` | runs of a checkpoint that counts no more | swept |
 *
 * Sweeping is the caller's (`sweepRuns`), who alone knows what its journal and the ledger name.
 */

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isRunName } from './run-format.ts'

export { isRunName, type RunFacts, type RunLabel } from './run-format.ts'
export { RunSums } from './run-reader.ts'

/**
 * Deletes all runs but those to be kept, and what was left half written; returns their names.
 * Only for a directory in which nobody is at work.
 */
export async function sweepRuns(directory: string, keep: ReadonlySet<string>): Promise<string[]> {
  const swept = (await readdir(directory)).filter(name =>
    isRunName(name) ? !keep.has(name) : isRunTmp(name),
  )
  for (const name of swept) await deleteRun(directory, name)
  return swept
}

/** Deletes a run that nobody needs; nothing if there is none. */
export async function deleteRun(directory: string, name: string): Promise<void> {
  await rm(join(directory, name), { force: true })
}

function isRunTmp(name: string): boolean {
  return name.startsWith('.') && name.endsWith('.tmp') && isRunName(name.slice(1, -4))
}

/** The runs of one file, while it is digested and until it is released. */
export class RunKeeper {
  readonly #directory: string
  readonly #existing: Set<string>
  #live: readonly string[] = []
  readonly #pending: (readonly string[])[] = []
  #committed: readonly string[]
  #deleting: Promise<void> = Promise.resolve()

  /** `committed`: what the checkpoint names that the digest may go on from. */
  constructor(directory: string, committed: readonly string[]) {
    this.#directory = directory
    this.#existing = new Set(committed)
    this.#committed = committed
  }

  /** The sum thread, or the result, needs these and no others. */
  use(names: readonly string[]): void {
    for (const name of names) this.#existing.add(name)
    this.#live = names
    this.#deleteUnneeded()
  }

  /** A checkpoint that names these is on its way. */
  hold(names: readonly string[]): void {
    this.#pending.push(names)
  }

  /** The oldest checkpoint on its way is durable. */
  commit(): void {
    this.#committed = this.#pending.shift() ?? []
    this.#deleteUnneeded()
  }

  /** The checkpoints on their way will not be committed. */
  dropPending(): void {
    this.#pending.length = 0
    this.#deleteUnneeded()
  }

  /** No checkpoint of this file counts any more. */
  release(): void {
    this.#committed = []
    this.#deleteUnneeded()
  }

  /** Resolves when what nobody needs is gone. */
  settled(): Promise<void> {
    return this.#deleting
  }

  #deleteUnneeded(): void {
    const needed = new Set([...this.#live, ...this.#pending.flat(), ...this.#committed])
    for (const name of this.#existing) {
      if (needed.has(name)) continue
      this.#existing.delete(name)
      this.#deleting = this.#deleting.then(() =>
        deleteRun(this.#directory, name).catch(() => {
          // What cannot be deleted now is swept by the next start; no sum depends on it.
        }),
      )
    }
  }
}
