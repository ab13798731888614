/**
 * How the state moves: two durable steps a file, each one replacement of state.json.
 *
 * - **ready** (`pending` is null): file `nextNumber` is being written to the tmp directory or will
 *   be. A crash leaves a tmp file of a dead owner, which is swept. The number is used again for the
 *   same bytes, which nobody has seen.
 * - **prepared()**, once the tmp file and its name are synced, leads to **pending**: in one
 *   replacement the number is used up and the file named. From here on this very file will be
 *   published. A crash leaves `pending`, and the tmp file tells the rest: where it still stands, the
 *   rename has not happened, and the next start does it (the file is complete); where it is gone,
 *   the rename was the last that happened to it, and the next start only counts it.
 * - **counted()**, once the file's name in the inbox is synced, leads back to **ready**: in one
 *   replacement the file joins the control totals and its run.
 *
 * So a number's file is published once or not at all, none is left out, and `control` counts each
 * once, whenever the process dies.
 *
 * `begin()` chooses stream and run at each start, when nothing is pending. Another seed than before
 * begins another stream, with a name of its own and totals of zero; the stream it leaves is kept, so
 * that its seed, coming back, goes on after the last file instead of making the same ones again.
 */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { replaceFile } from '../shared/durable.ts'
import { readGeneratorState, withPendingCounted } from './state.ts'
import { formatGeneratorState } from './state-format.ts'
import {
  type EarlierStream,
  type GeneratorState,
  NO_TOTALS,
  type PendingFile,
} from './state-shape.ts'

export class Progress {
  readonly #path: string
  #state: GeneratorState | undefined

  private constructor(path: string, state: GeneratorState | undefined) {
    this.#path = path
    this.#state = state
  }

  /** @throws CountersinkError STATE_DIRECTORY_UNFIT for a state that nobody can read. */
  static async open(path: string): Promise<Progress> {
    return new Progress(path, await readGeneratorState(path))
  }

  /** What a crash left to be published or counted. */
  get pending(): PendingFile | null {
    return this.#state?.pending ?? null
  }

  /** What stands on disk; only after `begin()`. */
  get state(): GeneratorState {
    assert(this.#state !== undefined, 'begin() comes first')
    return this.#state
  }

  /** Goes on with the stream and the run of an earlier start, or begins others. Durable. */
  async begin(seed: bigint | 'random', runId: string): Promise<void> {
    const before = this.#state
    assert(before?.pending == null, 'what is pending must be finished first')
    const chosen = chooseStream(before, seed)
    const run =
      before?.run != null && before.run.id === runId && before.stream === chosen.stream
        ? before.run
        : { id: runId, firstNumber: chosen.nextNumber, published: 0 }
    await this.#replace({ ...chosen, pending: null, run })
  }

  /** The file of `nextNumber` is complete and synced in the tmp directory. */
  async prepared(file: PendingFile): Promise<void> {
    const { state } = this
    assert(state.pending === null, 'one file at a time')
    await this.#replace({ ...state, nextNumber: state.nextNumber + 1, pending: file })
  }

  /** The pending file stands in the inbox, and its name is synced. */
  async counted(): Promise<void> {
    assert(this.#state?.pending != null, 'there is nothing to count')
    await this.#replace(withPendingCounted(this.#state))
  }

  async #replace(next: GeneratorState): Promise<void> {
    await replaceFile(this.#path, formatGeneratorState(next))
    this.#state = next
  }
}

/** Streams remembered besides the current one; the oldest is forgotten beyond. */
const EARLIER_STREAMS_MAX = 32

function chooseStream(
  before: GeneratorState | undefined,
  seed: bigint | 'random',
): EarlierStream & Pick<GeneratorState, 'earlier'> {
  if (before === undefined) return { ...newStream(seed), earlier: [] }
  const { stream, calendarEndMs, nextNumber, control } = before
  if (seed === 'random' || seed === before.seed) {
    const { seed, earlier } = before
    return { stream, seed, calendarEndMs, nextNumber, control, earlier }
  }
  const others = before.earlier.filter(one => one.seed !== seed)
  return {
    ...(before.earlier.find(one => one.seed === seed) ?? newStream(seed)),
    earlier: [...others, { stream, seed: before.seed, calendarEndMs, nextNumber, control }].slice(
      -EARLIER_STREAMS_MAX,
    ),
  }
}

function newStream(seed: bigint | 'random'): EarlierStream {
  return {
    stream: randomBytes(4).toString('hex'),
    seed: seed === 'random' ? randomBytes(8).readBigUInt64LE() : seed,
    calendarEndMs: Date.now(),
    nextNumber: 1,
    control: NO_TOTALS,
  }
}
