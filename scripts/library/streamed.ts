import { Handoff } from '../../shared/handoff.ts'
import type { ServiceOptions } from './types.ts'

/**
 * What is read in groups, one by one: a few at a time are handed over, and the reading waits meanwhile, so
 * none but these are in memory. A loop that is left early ends the reading.
 */
export async function* streamed<T, O extends ServiceOptions>(
  options: O,
  read: (options: O, take: (group: readonly T[]) => Promise<void>) => Promise<void>,
): AsyncGenerator<T, void, void> {
  const left = new AbortController()
  const signal = AbortSignal.any([left.signal, ...(options.signal ? [options.signal] : [])])
  const groups = new Handoff<readonly T[]>(1)
  let end: { readonly failure?: unknown } | undefined
  const ended = (how: { readonly failure?: unknown }): void => {
    end = how
    groups.wake()
  }
  const reading = read({ ...options, signal }, async group => {
    if (!(await groups.put(group, signal))) throw signal.reason
  }).then(
    () => ended({}),
    failure => ended({ failure }),
  )
  try {
    while (end === undefined && !signal.aborted) {
      const [group = []] = await groups.takeAll(1, signal)
      yield* group
    }
    await reading
    for (const group of groups.drain()) yield* group
    if (end !== undefined && 'failure' in end) throw end.failure
  } finally {
    // Whoever has left the loop wants no more.
    left.abort(new Error('nobody reads on'))
    await reading
  }
}

/** In groups of some hundreds, as they come. */
export async function inGroups<T>(
  all: AsyncIterable<T>,
  take: (group: readonly T[]) => Promise<void>,
): Promise<void> {
  let group: T[] = []
  for await (const one of all) {
    group.push(one)
    if (group.length < GROUP) continue
    await take(group)
    group = []
  }
  if (group.length > 0) await take(group)
}

const GROUP = 1_000
