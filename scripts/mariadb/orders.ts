/**
 * What people ask of the ledger: an order is written down, and waited for until whoever counts has carried
 * it out. The command that asks moves no total itself; ended at any moment, its order stands or was never
 * made, and asked again it is the same.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import {
  askFor,
  contentsWithPrefix,
  findLedger,
  isMissingTable,
  type LedgerFile,
  type LedgerNames,
  ledgerNames,
  type OrderRequest,
  type OrderStanding,
  orderStanding,
  type Session,
} from '../../parser/ledger/index.ts'
import type { Config } from '../../shared/config.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { cannot, reach, usage, whatToDoFirst } from '../terminal/index.ts'
import { withServiceDatabase } from './database-at-rest.ts'
import { hasPrivateDatabase, serviceDatabase } from './service-database.ts'

/** The service's ledger, at rest or at work. */
export interface LedgerAtHand {
  readonly session: Session
  readonly names: LedgerNames
  readonly config: Config
  readonly uuid: string
}

/** @throws CountersinkError STOPPED where there is no ledger yet, and what `withServiceDatabase` throws */
export async function withLedger<R>(
  paths: StatePaths,
  use: (ledger: LedgerAtHand) => Promise<R>,
): Promise<R> {
  const service = await serviceDatabase(paths)
  const { config } = service
  const none = async () =>
    cannot(`nothing was ever counted from ${paths.dir}`, await whatToDoFirst(paths))
  if (config.databaseUrl === '' && !hasPrivateDatabase(paths)) throw await none()
  return withServiceDatabase(paths, service, async session => {
    const uuid = await findLedger(session, config)
    if (uuid === undefined) throw await none()
    return use({ session, config, uuid, names: ledgerNames(config) })
  })
}

/**
 * The content whose hash begins so.
 *
 * @throws CountersinkError USAGE when there is none, or several.
 */
export async function contentMeant(
  { session, names }: LedgerAtHand,
  prefix: string,
): Promise<LedgerFile> {
  if (!/^[0-9a-f]{8,64}$/i.test(prefix)) {
    throw usage(
      `a content is named by at least 8 hex digits of its SHA-256, got ${JSON.stringify(prefix)}; "countersink explain NAME" tells them`,
    )
  }
  const known = await contentsWithPrefix(session, names, prefix.toLowerCase()).catch(error => {
    if (isMissingTable(error)) return []
    throw error
  })
  const rows = known.flatMap(one => ('row' in one ? one.row : []))
  const [row, another] = rows
  if (row === undefined) throw usage(`the ledger has no content that begins with ${prefix}`)
  if (another === undefined) return row
  const hashes = rows.map(({ sha256 }) => sha256.toString('hex')).join(' and ')
  throw usage(`${prefix} is the beginning of several contents, as of ${hashes}: give more digits`)
}

/** Writes an order down, and waits for it. */
export async function askAndWait(
  { session, names }: LedgerAtHand,
  request: OrderRequest,
  patience: Patience,
): Promise<OrderStanding> {
  await askFor(session, names, request)
  return untilCarriedOut(() => orderStanding(session, names, request.id), patience)
}

/** What becomes of a content that is to be counted. */
export function untilCounted(
  ledger: LedgerAtHand,
  { sha256 }: LedgerFile,
  patience: Patience,
): Promise<Pick<OrderStanding, 'state' | 'answer'>> {
  return untilCarriedOut(async () => {
    const { state, reason } = await contentMeant(ledger, sha256.toString('hex'))
    if (state === 'applied') return { state: 'done', answer: null }
    if (state === 'reverting' || state === 'reverted') {
      return { state: 'refused', answer: 'it was taken back again meanwhile' }
    }
    return state === 'refused'
      ? { state: 'refused', answer: reason }
      : { state: 'waiting', answer: null }
  }, patience)
}

export interface Patience {
  readonly paths: StatePaths
  /** As long as somebody may carry it out; by the clock of `performance.now`. */
  readonly untilMs: number
  /** Told when it waits for something else than its turn, each reason once. */
  readonly onWaiting: (why: string) => void
}

/** Until it is done or refused, or nobody is there who could. */
async function untilCarriedOut<S extends Pick<OrderStanding, 'state' | 'answer'>>(
  look: () => Promise<S>,
  { paths, untilMs, onWaiting }: Patience,
): Promise<S> {
  let told: string | undefined
  let aloneSinceMs: number | undefined
  for (let looks = 0; ; looks += 1) {
    const standing = await look()
    if (standing.state === 'done' || standing.state === 'refused') return standing
    if (standing.answer !== null && standing.answer !== told) {
      told = standing.answer
      onWaiting(told)
    }
    const now = performance.now()
    if (looks % LOOKS_PER_REACH === 0) {
      aloneSinceMs = (await isParserThere(paths)) ? undefined : (aloneSinceMs ?? now)
    }
    const isAlone = aloneSinceMs !== undefined && now - aloneSinceMs > ALONE_MS
    if (now >= untilMs || isAlone) return standing
    await sleep(LOOK_INTERVAL_MS)
  }
}

async function isParserThere(paths: StatePaths): Promise<boolean> {
  const reached = await reach(paths, 'parser')
  if ('channel' in reached) reached.channel.close()
  return 'channel' in reached || reached.isThere
}

const LOOK_INTERVAL_MS = 100
const LOOKS_PER_REACH = 10
/** A parser of another host may count. */
const ALONE_MS = 5_000
