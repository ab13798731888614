/**
 * The proof that the totals are what the files have made them: the ledger against itself, the totals and
 * the journal, and, where all is wanted, every consumer against the blocks. All of it in one snapshot of
 * one session, so beside whoever counts.
 */

import type { Config } from '../../../shared/config.ts'
import { CountersinkError, hasCode } from '../../../shared/errors.ts'
import type { Session } from '../connection.ts'
import {
  assertNotEmptied,
  assertTablesThere,
  assertThisLedger,
  readMeta,
  tablesThere,
  unfit,
} from '../schema/ledger-there.ts'
import { wrongShapes } from '../schema/table-shapes.ts'
import { ledgerNames, SCHEMA_VERSION } from '../schema/tables.ts'
import { checkTotals } from '../schema/totals-table.ts'
import type { Witness } from '../schema/witnesses.ts'
import { sqlNumber } from '../sql-errors.ts'
import { type ConsumerProof, type ConsumerProofOptions, proveConsumers } from './consumer-proof.ts'
import {
  type Finding,
  type LedgerCheck,
  type LedgerSums,
  proveBlocks,
  proveLedger,
  readLedgerSums,
} from './ledger-proof.ts'
import { openingBlocks } from './opening-of.ts'
import { takeRollCall } from './roll-call.ts'
import { inSnapshot } from './snapshot.ts'
import { proveUsageOfConsumers } from './usage-of-consumers.ts'
import { proveUsage } from './usage-proof.ts'

export interface Proof {
  /** undefined: the tables themselves are not what they must be. */
  readonly sums: LedgerSums | undefined
  /** That are counted. */
  readonly files: number | undefined
  /** Bad lines of these that were put aside. */
  readonly rejectedLines?: number
  readonly findings: readonly Finding[]
  /** Of single consumers, if they were asked for; or why nothing can be said of them. */
  readonly consumers: ConsumerProof | { readonly unknownBecause: string } | undefined
}

export interface ProofOptions {
  /** What the journal knows to be counted, read before; at most `WITNESSES_MAX`. */
  readonly journal: readonly Witness[]
  /** undefined: without a look at single consumers. */
  readonly consumers: Omit<ConsumerProofOptions, 'opening' | 'totalsRows'> | undefined
}

/** @throws CountersinkError LEDGER_UNFIT when there is no ledger of this version. */
export async function prove(
  session: Session,
  config: Config,
  options: ProofOptions,
): Promise<Proof> {
  const there = await tablesThere(session, config)
  const names = ledgerNames(config)
  const meta = there.has('meta') ? await readMeta(session, names) : undefined
  if (meta === undefined) throw unfit('none was begun in this database', 'Start the service once.')
  if (Number(meta.version) < SCHEMA_VERSION) {
    throw unfit(
      'it is of an earlier version',
      'Start the service once, which brings it up to date.',
    )
  }
  const asTables = (texts: readonly string[]): Proof => {
    const findings = texts.map(text => ({ check: 'tables' as const, text }))
    return { sums: undefined, files: undefined, findings, consumers: undefined }
  }
  try {
    assertThisLedger(meta, config, undefined)
    await assertTablesThere(session, config, there, SCHEMA_VERSION)
    const wrong = await wrongShapes(session, config)
    if (wrong.length > 0) return asTables(wrong)
    const { totalsTable: table, totalsIdColumn: id, totalsAmountColumn: amount } = config
    await checkTotals(session, { table, id, amount })
    await assertNotEmptied(session, names)
  } catch (error) {
    // That is an answer.
    if (!hasCode(error, 'LEDGER_UNFIT', 'DATABASE_UNFIT')) throw error
    return asTables([(error as Error).message])
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return await inSnapshot(session, () => proveNow(session, config, options))
    } catch (error) {
      // Its definition has changed since the snapshot was taken: another snapshot will do.
      if (sqlNumber(error) !== TABLE_DEFINITION_CHANGED || tries === TRIES_MAX) throw error
    }
  }
}

const TABLE_DEFINITION_CHANGED = 1412
const TRIES_MAX = 5

async function proveNow(
  session: Session,
  config: Config,
  { journal, consumers }: ProofOptions,
): Promise<Proof> {
  const names = ledgerNames(config)
  const sums = await readLedgerSums(session, names)
  if (sums === undefined) {
    throw new CountersinkError('LEDGER_UNFIT', 'the ledger has gone while it was looked at')
  }
  const { isSound, ...told } = await takeRollCall(session, names)
  const byName = !isSound || consumers !== undefined
  const findings = [...(await proveLedger(session, config, sums, { journal, byName }))]
  if (!isSound && !findings.some(({ check }) => TOLD_BY_NAME.has(check))) {
    findings.push({ check: 'postings', text: 'files, postings and batches do not agree' })
  }
  findings.push(...(await proveUsage(session, config, byName)))
  if (consumers === undefined) return { sums, ...told, findings, consumers: undefined }
  findings.push(...(await proveBlocks(session, config)))
  const opening = await openingBlocks(session, names)
  findings.push(...(await proveUsageOfConsumers(session, config, consumers.limits)))
  if ('unknownBecause' in opening) return { sums, ...told, findings, consumers: opening }
  const proof = await proveConsumers(session, config, {
    ...{ ...consumers, ...opening },
    totalsRows: sums.totalsRows,
  })
  return { sums, ...told, findings, consumers: proof }
}

/** What the roll call looks at. */
const TOLD_BY_NAME: ReadonlySet<LedgerCheck> = new Set(['batches', 'files', 'postings'])
