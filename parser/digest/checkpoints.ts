/**
 * Puts checkpoints together on the main thread, out of what both threads tell, and has the caller
 * commit them: in order, one at a time.
 *
 * Neither thread waits for a commit, unless it is `CHECKPOINTS_AHEAD_MAX` checkpoints ahead of it:
 * this bounds the queues here and the runs that checkpoints on their way hold.
 */

import assert from 'node:assert/strict'
import { crashPoint } from '../../shared/crash-points.ts'
import { toError } from '../../shared/errors.ts'
import type { Checkpoint } from '../facts.ts'
import type { RunKeeper } from '../sums/index.ts'
import type { HashEvent, SumPart } from './worker-messages.ts'

export interface CheckpointsOptions {
  readonly runs: RunKeeper
  /** None is committed any more once it is raised. */
  readonly signal: AbortSignal | undefined
  readonly onCheckpoint: (checkpoint: Checkpoint) => void | Promise<void>
  /** So many checkpoints are done with. */
  readonly onSettled: (count: number) => void
  /** A checkpoint could not be committed; no more will be. */
  readonly onFailure: (error: Error) => void
}

export class Checkpoints {
  readonly #options: CheckpointsOptions
  readonly #sumParts: SumPart[] = []
  readonly #hashParts: HashEvent[] = []
  #settled = 0
  #committing: Promise<void> | undefined
  #stopped = false

  constructor(options: CheckpointsOptions) {
    this.#options = options
  }

  addSumPart(part: SumPart): void {
    if (this.#stopped) return
    this.#options.runs.hold(part.runs)
    this.#sumParts.push(part)
    this.#commitNext()
  }

  addHashPart(part: HashEvent): void {
    if (this.#stopped) return
    this.#hashParts.push(part)
    this.#commitNext()
  }

  /** No more checkpoints; resolves when the one that is being committed is. Safe to repeat. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#sumParts.length = 0
    this.#hashParts.length = 0
    await this.#committing
    this.#options.runs.dropPending()
  }

  #commitNext(): void {
    const [sum] = this.#sumParts
    const [hash] = this.#hashParts
    if (this.#committing !== undefined || sum === undefined || hash === undefined) return
    if (this.#options.signal?.aborted) return
    this.#sumParts.shift()
    this.#hashParts.shift()
    assert.equal(sum.positionBytes, hash.positionBytes, 'the threads made different checkpoints')
    this.#committing = this.#commit(sum, hash.sha256).then(
      () => {
        this.#committing = undefined
        this.#commitNext()
      },
      (error: unknown) => {
        this.#committing = undefined
        this.#options.onFailure(toError(error))
      },
    )
  }

  async #commit(part: SumPart, prefixSha256: Uint8Array): Promise<void> {
    const { positionBytes, resumeBytes, lines, amount, runs, rejects } = part
    crashPoint('P2-checkpoint-before')
    await this.#options.onCheckpoint({
      positionBytes,
      prefixSha256,
      resumeBytes,
      lines,
      amount,
      runs,
      ...(rejects === undefined ? {} : { rejects }),
    })
    crashPoint('P2-checkpoint-committed')
    this.#options.runs.commit()
    this.#settled += 1
    this.#options.onSettled(this.#settled)
  }
}
