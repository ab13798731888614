import { readTopTotals, readTotal, readTotals } from '../../parser/ledger/index.ts'
import { totalsDatabase } from '../asking/index.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { assertWhich } from './assert-which.ts'
import { withService } from './service.ts'
import { inGroups, streamed } from './streamed.ts'
import type { Total, TotalsOptions } from './types.ts'

export function totalsForProgram(options: TotalsOptions): AsyncGenerator<Total, void, void> {
  return streamed(options, readThem)
}

function readThem(
  options: TotalsOptions,
  take: (group: readonly Total[]) => Promise<void>,
): Promise<void> {
  return withService(options, async ({ paths, asking }) => {
    const { id, top } = options
    assertWhich(options)
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
        await inGroups(all, take)
      },
      asking,
    )
  })
}
