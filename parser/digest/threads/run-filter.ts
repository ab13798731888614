/** Those pairs of a run whose consumers occur in certain other runs too: for worker threads. */

import { type PairChunk, RunBlocks } from '../../sums/index.ts'

/** Blocks between two signs of life. */
const BLOCKS_PER_SIGN = 256

/**
 * Puts the pairs of the run at `path` that have a consumer of the runs at `others`, a block at a
 * time. `pause` is called now and then, and may throw to end it.
 * @throws CountersinkError RUN_UNREADABLE
 */
export function putPairsOf(options: {
  readonly path: string
  readonly others: readonly string[]
  readonly put: (chunk: PairChunk) => void
  readonly pause: () => void
}): void {
  const { path, others, put, pause } = options
  const opened: RunBlocks[] = []
  const open = (one: string) => {
    const run = RunBlocks.open(one)
    opened.push(run)
    return run
  }
  try {
    const run = open(path)
    const walks = others.map(other => new IdWalk(open(other)))
    let blocks = 0
    for (let chunk = run.next(); chunk !== undefined; chunk = run.next()) {
      const { ids, amounts } = chunk
      const isWanted = new Uint8Array(ids.length)
      for (const walk of walks) walk.mark(ids, isWanted)
      const wanted = (_: bigint, i: number) => isWanted[i] === 1
      const some = { ids: ids.filter(wanted), amounts: amounts.filter(wanted) }
      if (some.ids.length > 0) put(some)
      blocks += 1
      if (blocks % BLOCKS_PER_SIGN === 0) pause()
    }
  } finally {
    for (const run of opened) run.close()
  }
}

/** One way through the ascending ids of a run. */
class IdWalk {
  readonly #run: RunBlocks
  /** The block it has come to, and the place in it; undefined: the end. */
  #ids: BigUint64Array | undefined
  #at = 0

  constructor(run: RunBlocks) {
    this.#run = run
    this.#ids = run.next()?.ids
  }

  /** Marks which of these ids the run has: ascending, all greater than those of the call before. */
  mark(ids: BigUint64Array, marks: Uint8Array): void {
    for (let i = 0; i < ids.length && this.#ids !== undefined; ) {
      const here = this.#ids[this.#at]!
      const id = ids[i]!
      if (here === id) marks[i] = 1
      if (here >= id) i += 1
      else this.#advance(this.#ids.length)
    }
  }

  #advance(pairs: number): void {
    this.#at += 1
    if (this.#at < pairs) return
    this.#ids = this.#run.next()?.ids
    this.#at = 0
  }
}
