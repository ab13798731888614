import { readTopTotals, readTotal, readTotals } from '../../parser/ledger/index.ts'
import { Handoff } from '../../shared/handoff.ts'
import { totalsDatabase } from '../asking/index.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { usage } from '../terminal/index.ts'
import { withService } from './service.ts'
import type { Total, TotalsOptions } from './types.ts'

/** A few at a time are handed over; the reading waits meanwhile, so none but these are in memory. */
export async function* totalsForProgram(options: TotalsOptions): AsyncGenerator<Total, void, void> {
  const left = new AbortController()
  const signal = AbortSignal.any([left.signal, ...(options.signal ? [options.signal] : [])])
  const groups = new Handoff<readonly Total[]>(1)
  let end: { readonly failure?: unknown } | undefined
  const ended = (how: { readonly failure?: unknown }): void => {
    end = how
    groups.wake()
  }
  const reading = readThem({ ...options, signal }, async group => {
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

function readThem(
  options: TotalsOptions,
  take: (group: readonly Total[]) => Promise<void>,
): Promise<void> {
  return withService(options, async ({ paths, asking }) => {
    const { id, top } = options
    if (id !== undefined && (typeof id !== 'bigint' || id < 0n || id >= 2n ** 64n)) {
      throw usage(`id must be a bigint from 0n to 18446744073709551615n, got ${id}`)
    }
    if (top !== undefined && !(Number.isSafeInteger(top) && top >= 1)) {
      throw usage(`top must be a whole number from 1 on, got ${top}`)
    }
    if (id !== undefined && top !== undefined) throw usage('either id or top can be given')
    const service = await totalsDatabase(paths, asking)
    const { config } = service
    await withServiceDatabase(
      paths,
      service,
      async session => {
        if (id !== undefined) {
          const total = await readTotal(session, config, id)
          if (total !== undefined) await take([total])
          return
        }
        const all =
          top === undefined ? readTotals(session, config) : readTopTotals(session, config, top)
        let group: Total[] = []
        for await (const total of all) {
          group.push(total)
          if (group.length < GROUP) continue
          await take(group)
          group = []
        }
        if (group.length > 0) await take(group)
      },
      asking,
    )
  })
}

const GROUP = 1_000
