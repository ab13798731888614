/**
 * Measurements in turn, A B A B …, so that what disturbs the machine disturbs both alike. The ratio
 * of a pair is taken within one turn; of several turns the median counts.
 */
export interface Paired<A, B> {
  readonly ours: readonly A[]
  readonly theirs: readonly B[]
}

export async function inTurn<A, B>(
  turns: number,
  ours: (turn: number) => Promise<A>,
  theirs: (turn: number) => Promise<B>,
): Promise<Paired<A, B>> {
  const found = { ours: [] as A[], theirs: [] as B[] }
  for (let turn = 0; turn < turns; turn += 1) {
    found.ours.push(await ours(turn))
    found.theirs.push(await theirs(turn))
  }
  return found
}

/** How often the second goes into the first, turn by turn. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, turn) => value / theirs[turn]!)
}

/** Seconds that this takes. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await action()
  return (performance.now() - startedMs) / 1_000
}
