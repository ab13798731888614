import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Session } from '../../parser/ledger/connection.ts'
import { prove } from '../../parser/ledger/index.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import type { Config } from '../../shared/config.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { sha256Of } from '../helpers/files.ts'
import { list } from '../helpers/invariants.ts'
import { type CorrectionsModel, FOREIGN, type Standing } from './corrections-model.ts'
import type { CorrectedFile } from './corrections-plan.ts'
import { HistoryFailed } from './life.ts'

/**
 * Each total, each row of a content, and the program's own proof of all of it are what the model says.
 *
 * @throws HistoryFailed
 */
export async function assertAsModelled(
  session: Session,
  config: Config,
  files: readonly CorrectedFile[],
  model: CorrectionsModel,
): Promise<void> {
  const { totals, id, amount, file } = ledgerNames(config)
  const rows = await session.query<{ id: bigint; amount: bigint | string }>(
    `SELECT CAST(${id} AS UNSIGNED) AS id, ${amount} AS amount FROM ${totals}`,
  )
  const found = new Map(rows.map(row => [BigInt(row.id), BigInt(row.amount)]))
  for (const one of new Set([...found.keys(), ...model.totals.keys()])) {
    const must = model.totals.get(one) ?? 0n
    if (found.get(one) !== must) fail(`consumer ${one} stands at ${found.get(one)}, not ${must}`)
  }
  const states = await statesOf(session, file)
  for (const [number, { content }] of files.entries()) {
    const standing = model.standing(number)
    const state = states.get(sha256Of(content))
    const must = standing && STATE[standing]
    if (state !== must) fail(`file ${number} is ${state} in the ledger, not ${must}`)
  }
  const { findings, consumers } = await prove(session, config, {
    journal: [],
    consumers: { differencesMax: 10 },
  })
  const isExact = model.added === 0n
  const faults = findings.filter(({ check }) => check !== 'totals' || isExact)
  if (faults.length > 0) fail(`verify: ${JSON.stringify(faults)}`)
  const differences = consumers && 'differences' in consumers ? consumers.differences : []
  const told = differences.map(({ id, total, expected }) => `${id} ${(total ?? 0n) - expected}`)
  const wanted = isExact ? [] : [`${FOREIGN} ${model.added}`]
  if (told.join() !== wanted.join()) fail(`verify: ${told}, not ${wanted}`)
}

/** By the hashes of contents in hex. */
export async function statesOf(session: Session, file: string): Promise<Map<string, string>> {
  const rows = await session.query<{ sha256: Buffer; state: string }>(
    `SELECT sha256, state FROM ${file}`,
  )
  return new Map(rows.map(({ sha256, state }) => [sha256.toString('hex'), state]))
}

/** Each content on one host at least, and with it what was put aside of it. */
export function areInPlace(
  hosts: readonly StatePaths[],
  files: readonly CorrectedFile[],
  model: CorrectionsModel,
): boolean {
  return [...files.entries()].every(([number, { content, badLines }]) => {
    const standing = model.standing(number)
    if (standing === undefined) return true
    const hash = sha256Of(content)
    const isRead = STATE[standing] !== undefined && standing !== 'refused'
    const isAside = (paths: StatePaths): boolean =>
      list(paths.rejects).some(name => name.includes(`.${hash.slice(0, 12)}`))
    if (badLines > 0 && isRead && !hosts.some(isAside)) return false
    return hosts.some(paths => filesIn(paths[PLACE[standing]]).includes(hash))
  })
}

/** In the ledger; undefined: no row. */
const STATE: Readonly<Record<Standing, string | undefined>> = {
  ...{ counted: 'applied', reverted: 'reverted', held: 'held', refused: 'refused' },
  spoilt: undefined,
}

const PLACE = {
  ...({ counted: 'archive', reverted: 'reverted', held: 'held' } as const),
  ...({ refused: 'quarantine', spoilt: 'quarantine' } as const),
}

/** The hashes of what stands there, at any depth. */
function filesIn(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => sha256Of(readFileSync(join(entry.parentPath, entry.name))))
}

function fail(what: string): never {
  throw new HistoryFailed(what)
}
