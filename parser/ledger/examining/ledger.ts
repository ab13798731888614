import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import { type Finding, fail, ok, warn } from '../../../shared/findings.ts'
import { shellWord } from '../../../shared/printable.ts'
import { SEQUENCE_TABLE } from '../adding/sequence-engine.ts'
import type { Session } from '../connection.ts'
import type { Host } from '../hosts.ts'
import { assertNoOtherLedger } from '../schema/first-contact.ts'
import { isGranted } from '../schema/grants.ts'
import {
  assertMayBegin,
  assertNotEmptied,
  assertTablesThere,
  assertThisLedger,
  findMeta,
  type Meta,
  missingChanges,
  tablesThere,
} from '../schema/ledger-there.ts'
import { quotedAccount } from '../schema/printed.ts'
import { MAKING_RIGHTS, RIGHTS, rightTrials } from '../schema/rights.ts'
import {
  type LedgerTable,
  ledgerNames,
  quotedIdentifier,
  SCHEMA_VERSION,
} from '../schema/tables.ts'
import { checkTotals } from '../schema/totals-table.ts'
import { checkWitnesses, type Witness } from '../schema/witnesses.ts'
import { lookedInSql } from './sql-findings.ts'

/** What is known of the ledger in the state directory. */
export interface KnownLedger {
  readonly uuid: string | undefined
  readonly applied: readonly Witness[]
}

interface Scene {
  readonly session: Session
  readonly config: Config
  readonly there: ReadonlySet<LedgerTable | 'totals'>
  /** As in SQL. */
  readonly database: string
  readonly account: string
  /** Tables and rights, all of them, as an administrator would have them made. */
  readonly byAdministrator: string
}

/** The tables of totals and ledger, whether they are the ones, and what the account may do with them. */
export async function examineLedger(
  session: Session,
  on: {
    readonly config: Config
    readonly known: KnownLedger
    /** Those beside it, which must not have a ledger when one is begun here. */
    readonly others: readonly Host[]
    readonly withinMs: number
  },
): Promise<readonly Finding[]> {
  const { config, known } = on
  const names = ledgerNames(config)
  let scene: Scene | undefined
  let meta: Meta | undefined
  const first = await lookedInSql('ledger', async () => {
    scene = await sceneOf(session, config)
    meta = await findMeta(session, config, scene.there, known.uuid)
    if (meta === undefined) {
      await assertMayBegin(session, config, scene.there)
      await assertNoOtherLedger(on.others, config, on.withinMs)
      return 'none yet: the first start begins one'
    }
    assertThisLedger(meta, config, known.uuid)
    await assertTablesThere(session, config, scene.there, Number(meta.version))
    return lookAtVersion(scene, meta)
  })
  if (scene === undefined) return [first]
  const at = scene
  const findings = [first, await lookedInSql('table of totals', () => lookAtTotals(at))]
  if (meta !== undefined && at.there.size > LEDGER_TABLES.length) {
    findings.push(
      await lookedInSql('what was counted', async () => {
        await assertNotEmptied(session, names)
        await checkWitnesses(session, names, known.applied)
        return known.applied.length === 0
          ? 'the totals are not empty where the ledger has counted into them'
          : `the newest ${known.applied.length} contents of the journal stand in the ledger`
      }),
      await lookedInSql('batches', () => lookAtBatches(at)),
    )
  }
  const isFit = findings.every(({ verdict }) => verdict !== 'FAIL')
  const rights = await lookAtRights(at)
  // A table that will not do may refuse a trial for reasons of its own, which are told already.
  findings.push(...rights.filter(({ isKnown }) => isKnown || isFit))
  findings.push(await lookedInSql('sequence engine', () => lookAtSequences(at)))
  return findings
}

async function sceneOf(session: Session, config: Config): Promise<Scene> {
  const [row] = await session.query<{ name: string; account: string }>(
    'SELECT DATABASE() AS name, CURRENT_USER() AS account',
  )
  const { name = '', account = '' } = row ?? {}
  const at = account.lastIndexOf('@')
  const quoted = quotedAccount({ user: account.slice(0, at), host: account.slice(at + 1) })
  return {
    ...{ session, config, there: await tablesThere(session, config), account: quoted },
    database: quotedIdentifier(name),
    byAdministrator: madeByAdministrator(name, account),
  }
}

/** What makes all tables, and gives an account what it needs and no more. */
export function madeByAdministrator(database: string, account: string): string {
  return `countersink schema --database ${shellWord(database)} --service ${shellWord(account)} | mariadb`
}

async function lookAtVersion(at: Scene, meta: Meta): Promise<string | Finding> {
  const { session, config, byAdministrator } = at
  const what = `${meta.uuid}, version ${meta.version}`
  if (Number(meta.version) >= SCHEMA_VERSION) return what
  const text = `${what}: the next start brings it to version ${SCHEMA_VERSION}`
  if ((await missingChanges(session, config)).length === 0) return warn('ledger', text)
  for (const privilege of MAKING_RIGHTS) {
    if (await isGranted(session, privilege, `${config.tablePrefix}meta`)) continue
    const why = `${what} is older, and this account may not change it`
    return fail('ledger', why, byAdministrator)
  }
  return warn('ledger', text, byAdministrator)
}

async function lookAtTotals({ session, config, there, ...at }: Scene): Promise<string | Finding> {
  if (!there.has('totals')) return `\`${config.totalsTable}\` is not there yet`
  const { range, seesTriggers } = await checkTotals(session, {
    table: config.totalsTable,
    id: config.totalsIdColumn,
    amount: config.totalsAmountColumn,
  })
  const found = `\`${config.totalsTable}\`: ids to ${range.idMax}, totals to ${range.amountMax}`
  if (seesTriggers) return found
  return warn(
    'table of totals',
    `${found}; without the TRIGGER privilege triggers cannot be seen, and some totals are read back`,
    `GRANT TRIGGER ON ${at.database}.\`${config.totalsTable}\` TO ${at.account};`,
  )
}

async function lookAtBatches({ session, config }: Scene): Promise<string | Finding> {
  const rows = await session.query<{ state: string; n: bigint }>(
    `SELECT state, COUNT(*) AS n FROM ${ledgerNames(config).batch}
      WHERE state <> 'applied' GROUP BY state`,
  )
  const blocked = rows.find(({ state }) => state === 'blocked')?.n ?? 0n
  if (blocked > 0n) return warn('batches', `${blocked} are blocked`, 'countersink status')
  return `${rows.reduce((sum, { n }) => sum + n, 0n)} unfinished, none is blocked`
}

/** Of tables that are there by trial; what makes those that are not, by what the grants say. */
async function lookAtRights(at: Scene): Promise<readonly Finding[]> {
  const { session, config, there, account, database, byAdministrator } = at
  const tables = ['totals', ...LEDGER_TABLES] as const
  const missing = tables.filter(table => !there.has(table))
  const findings: Finding[] = []
  for (const table of tables.filter(one => there.has(one))) {
    const name = ledgerNames(config)[table]
    const grant = `GRANT ${RIGHTS[table].join(', ')} ON ${database}.${name} TO ${account};`
    const trials = rightTrials(ledgerNames(config)).filter(trial => trial.table === table)
    for (const { sql } of trials) {
      const finding = await lookedInSql(
        `rights on ${name}`,
        async () => {
          await session.execute(sql)
          return RIGHTS[table].join(', ')
        },
        grant,
      )
      if (finding.verdict !== 'ok') findings.push(finding)
      // The others need it too.
      if (finding.verdict !== 'ok') break
    }
  }
  if (findings.length === 0 && missing.length < tables.length) {
    findings.push(ok('rights', `as needed on ${tables.length - missing.length} tables`))
  }
  if (missing.length === 0) return findings
  findings.push(
    await lookedInSql('right to make tables', async () => {
      const denied: string[] = []
      for (const right of [...RIGHTS.batch, ...MAKING_RIGHTS]) {
        if (!(await isGranted(session, right, nameOf(config, missing[0]!)))) denied.push(right)
      }
      if (denied.length === 0) return `for the ${missing.length} that are missing`
      const what = `${missing.length} tables are missing, and this account lacks ${denied.join(', ')}`
      // New tables need no change.
      const isEnough = denied.every(right => right === 'ALTER' || right === 'INDEX')
      return (isEnough ? warn : fail)('right to make tables', what, byAdministrator)
    }),
  )
  return findings
}

function nameOf({ totalsTable, tablePrefix }: Config, table: LedgerTable | 'totals'): string {
  return table === 'totals' ? totalsTable : `${tablePrefix}${table}`
}

async function lookAtSequences({ session, database, account }: Scene): Promise<string | Finding> {
  if (await session.hasSequences()) return 'there'
  return warn(
    'sequence engine',
    'not there, or not for this account: dense sums are added more slowly',
    `GRANT SELECT ON ${database}.\`${SEQUENCE_TABLE}\` TO ${account};`,
  )
}
