/**
 * One of the corrections that are asked of a content: looked at as it stands, asked for unless it is so
 * already, and waited for.
 */

import { type LedgerFile, type OrderStanding, orderOf } from '../../parser/ledger/index.ts'
import {
  askAndWait,
  contentMeant,
  type LedgerAtHand,
  untilCounted,
  withLedger,
} from '../mariadb/index.ts'
import { environment } from '../terminal/index.ts'
import { patience, type Told, tellCorrection } from './correction.ts'

/** The word that each of them is given. */
export const CONTENT_WORDS = {
  ...({ kind: 'file', value: 'SHA256|PREFIX', min: 1, max: 1 } as const),
  missing: 'at least 8 digits of the SHA-256 of the content',
} as const

/** What they differ in. */
export interface Correction {
  readonly kind: Told['do']
  readonly words: Parameters<typeof tellCorrection>[2]
  /** What is told where it is so already: then nothing is asked for. */
  whatIsDone(row: LedgerFile): Pick<Told, 'answer'> | undefined
  /** It comes by itself, and is only waited for. */
  isOnItsWay?(row: LedgerFile): boolean
  /** Why it cannot be done, for who only wants to know. */
  objection?(row: LedgerFile, ledger: LedgerAtHand): Promise<string | undefined>
  /** It is done once the content is counted. */
  readonly isDoneOnceCounted: boolean
}

interface Asked {
  readonly values: {
    readonly dir: string
    readonly reason: string
    readonly timeout: number | undefined
    readonly json: boolean
    readonly 'dry-run'?: boolean
  }
  readonly positionals: readonly string[]
  answer(fields: object): Promise<void>
}

/** @returns the exit status. */
export async function correct(correction: Correction, asked: Asked): Promise<number> {
  const { values, positionals, answer } = asked
  const { paths } = environment(values.dir)
  const told = await withLedger(paths, async (ledger): Promise<Told> => {
    const row = await contentMeant(ledger, positionals[0]!)
    const isDryRun = values['dry-run'] ?? false
    const common = { do: correction.kind, row, isDryRun, order: null }
    const done = correction.whatIsDone(row)
    if (done !== undefined) return { ...common, state: 'done', ...done }
    if (isDryRun) {
      const why = await correction.objection?.(row, ledger)
      return { ...common, state: why === undefined ? 'possible' : 'refused', answer: why ?? null }
    }
    const patient = patience(paths, values.timeout)
    const counted = (): Promise<Pick<OrderStanding, 'state' | 'answer'>> =>
      untilCounted(ledger, row, patient)
    if (correction.isOnItsWay?.(row)) return { ...common, ...(await counted()) }
    const request = orderOf(correction.kind, ledger.uuid, row, values.reason)
    const standing = await askAndWait(ledger, request, patient)
    const end = { ...common, ...standing, order: request.id.toString('hex') }
    if (!correction.isDoneOnceCounted || standing.state !== 'done') return end
    return { ...end, ...(await counted()) }
  })
  return tellCorrection(told, values.json ? answer : undefined, correction.words)
}
