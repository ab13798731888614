import { Session } from '../../parser/ledger/connection.ts'
import { HistoryFailed } from './life.ts'
import type { Beginning } from './plan.ts'
import { type HistorySite, makeHistorySite, makeNeighbour, type Server } from './site.ts'

/** A history of steps, on one or two hosts that count into one database. */
export interface Lived {
  /** @throws HistoryFailed */
  live(): Promise<void>
  end(): Promise<void>
  /** Of parsers that were killed. */
  readonly points: number
  readonly log: string
}

/** Lets it happen, and tells what was wrong; undefined: nothing was. */
export async function liveThrough<P extends Beginning & { readonly hosts: number }>(
  server: Server,
  plan: P,
  begin: (plan: P, sites: readonly HistorySite[], session: Session) => Lived,
): Promise<{ readonly fault: string | undefined; readonly points: number }> {
  const first = await makeHistorySite(server, plan)
  const sites = [first, ...Array.from({ length: plan.hosts - 1 }, () => makeNeighbour(first))]
  const session = await Session.open(first.address)
  const history = begin(plan, sites, session)
  let why: string | undefined
  try {
    await history.live()
  } catch (error) {
    why = error instanceof HistoryFailed ? error.message : String((error as Error).stack)
  }
  await history.end()
  await session.close()
  for (const site of [...sites].reverse()) await site.remove()
  const { points, log } = history
  return { points, fault: why === undefined ? undefined : `${why}\n${log}` }
}
