import { Session } from '../../parser/ledger/connection.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import { type Config, LEDGER_TABLES } from '../../shared/config.ts'
import type { Totals } from '../helpers/files.ts'
import type { Beginning, PlannedRule } from './plan.ts'
import { OWN_ROOM, openingOf, type Room, type TotalsPlan } from './totals-plan.ts'

export interface Raise {
  readonly id: bigint
  readonly by: bigint
}

/** What stands in a database, or is refused by it, that no file has brought. */
export interface Foreign {
  /** Whether it ever was another than what was written into it. */
  readonly wasChanged: boolean
  readonly opening: Totals
  readonly room: Room
  /** What somebody else has added to a total. */
  readonly raise?: Raise | undefined
  /** A consumer whose rows were refused for a while. */
  readonly ruled?: bigint | undefined
}

export const NOTHING_FOREIGN: Foreign = { wasChanged: false, opening: new Map(), room: OWN_ROOM }

/**
 * The tables of one history, and what can happen to a database as a whole: it is put back to what it
 * was, or an empty one takes its place. Connections of the history's own account end with it, and new
 * ones wait until it is done, as at a restored or replaced server.
 */
export class HistoryDatabase implements Foreign {
  readonly #adminUrl: string
  readonly #account: string
  readonly #config: Config
  readonly #tables: readonly string[]
  #made: TotalsPlan | undefined
  #rule: PlannedRule | undefined
  #ruled: bigint | undefined
  #raise: Raise | undefined
  /** Of what was saved. */
  #savedRaise: Raise | undefined
  #hasSaved = false
  #changes = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(adminUrl: string, account: string, config: Config, { totals }: Beginning) {
    this.#adminUrl = adminUrl
    this.#account = account
    this.#config = config
    this.#made = totals
    const names = ledgerNames(config)
    // Meta second, see `#isThere`.
    this.#tables = [names.totals, ...LEDGER_TABLES.map(table => names[table])]
  }

  /** One after the other: several hosts have something to do with it. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(change)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** An account of its own, so that its connections can be told from those of others. */
  static async urlFor(adminUrl: string, account: string): Promise<string> {
    const url = new URL(adminUrl)
    url.username = account
    await withAdmin(adminUrl, async admin => {
      await admin.execute(`CREATE USER ${account}@localhost`)
      await admin.execute(
        `GRANT ALL PRIVILEGES ON ${url.pathname.slice(1)}.* TO ${account}@localhost`,
      )
    })
    return url.href
  }

  /** Makes what stands there before the first parser comes. */
  async prepare(): Promise<void> {
    if (this.#made === undefined) return
    const { totals, id, amount } = ledgerNames(this.#config)
    const { idType, amountType, endsAt, rows } = this.#made
    const parts =
      endsAt === undefined
        ? ''
        : `PARTITION BY RANGE (${id}) (PARTITION all_there_is VALUES LESS THAN (${endsAt}))`
    await withAdmin(this.#adminUrl, async admin => {
      await admin.execute(
        `CREATE TABLE ${totals} (${id} ${idType} NOT NULL PRIMARY KEY, ${amount} ${amountType} NULL) ${parts}`,
      )
      for (const [consumer, total] of rows) {
        await admin.execute(`INSERT INTO ${totals} VALUES (?, ?)`, [consumer, total])
      }
    })
  }

  get wasChanged(): boolean {
    return this.#changes > 0
  }

  /** How often it became another. */
  get changes(): number {
    return this.#changes
  }

  get opening(): Totals {
    return openingOf(this.#made)
  }

  get room(): Room {
    return this.#made ?? OWN_ROOM
  }

  get raise(): Raise | undefined {
    return this.#raise
  }

  get ruled(): bigint | undefined {
    return this.#ruled
  }

  /** Whether nothing in it waits to be counted, by whomever. */
  async isAtRest(): Promise<boolean> {
    const { batch, todo } = ledgerNames(this.#config)
    return withAdmin(this.#adminUrl, async admin => {
      if (!(await this.#isThere(admin))) return false
      const rows = await admin.query(
        `SELECT 1 FROM ${todo} UNION ALL SELECT 1 FROM ${batch} WHERE state <> 'applied'`,
      )
      return rows.length === 0
    })
  }

  /** From now on each row of a consumer is refused; not before there is a table. */
  makeRule(rule: PlannedRule): Promise<void> {
    return this.#inTurn(() => this.#makeRuleNow(rule))
  }

  async #makeRuleNow(rule: PlannedRule): Promise<void> {
    const { totals, id } = ledgerNames(this.#config)
    await withAdmin(this.#adminUrl, async admin => {
      if (!(await this.#isThere(admin))) return
      this.#rule = rule
      this.#ruled = rule.id
      if (rule.kind === 'CHECK') {
        // Rows that are there stay.
        await admin.execute('SET SESSION check_constraint_checks = OFF')
        await admin.execute(
          `ALTER TABLE ${totals} ADD CONSTRAINT not_this_one CHECK (${id} <> ${rule.id})`,
        )
        return
      }
      for (const [i, event] of (['INSERT', 'UPDATE'] as const).entries()) {
        await admin.execute(
          `CREATE TRIGGER ${this.#triggers()[i]} BEFORE ${event} ON ${totals} FOR EACH ROW
             IF NEW.${id} = ${rule.id} THEN
               SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one';
             END IF`,
        )
      }
    })
  }

  dropRule(): Promise<void> {
    return this.#inTurn(() => this.#dropRuleNow())
  }

  async #dropRuleNow(): Promise<void> {
    const rule = this.#rule
    this.#rule = undefined
    if (rule === undefined) return
    const { totals } = ledgerNames(this.#config)
    await withAdmin(this.#adminUrl, async admin => {
      if (rule.kind === 'CHECK') {
        await admin.execute(`ALTER TABLE ${totals} DROP CONSTRAINT IF EXISTS not_this_one`)
        return
      }
      for (const name of this.#triggers()) await admin.execute(`DROP TRIGGER IF EXISTS ${name}`)
    })
  }

  #triggers(): readonly string[] {
    return ['insert', 'update'].map(event => `${this.#account}_no_${event}`)
  }

  /** Somebody else makes a total as large as it can be; not before there are any, nor where none fits. */
  raiseTotal(id: bigint): Promise<void> {
    return this.#inTurn(() => this.#raiseNow(id))
  }

  async #raiseNow(id: bigint): Promise<void> {
    if (id > this.room.idMax) return
    const { totals, id: idColumn, amount } = ledgerNames(this.#config)
    await withAdmin(this.#adminUrl, async admin => {
      if (!(await this.#isThere(admin))) return
      await admin.execute('START TRANSACTION')
      await admin.execute(`INSERT IGNORE INTO ${totals} VALUES (?, 0)`, [id])
      const [row] = await admin.query<{ total: bigint | string }>(
        `SELECT COALESCE(${amount}, 0) AS total FROM ${totals} WHERE ${idColumn} = ? FOR UPDATE`,
        [id],
      )
      const { amountMax } = this.room
      const most = amountMax.toString()
      await admin.execute(`UPDATE ${totals} SET ${amount} = ? WHERE ${idColumn} = ?`, [most, id])
      await admin.execute('COMMIT')
      this.#raise = { id, by: amountMax - BigInt(row!.total) }
    })
  }

  /** Keeps what stands there now; nothing before the first contact. */
  save(): Promise<void> {
    return this.#inTurn(() => this.#saveNow())
  }

  async #saveNow(): Promise<void> {
    await withAdmin(this.#adminUrl, async admin => {
      await this.#forget(admin)
      if (!(await this.#isThere(admin))) return
      const all = this.#tables
      for (const table of all) await admin.execute(`CREATE TABLE ${saved(table)} LIKE ${table}`)
      const reads = all.map(table => `${table} READ`)
      const writes = all.map(table => `${saved(table)} WRITE`)
      // It has the rule of a table that has one.
      await admin.execute('SET SESSION check_constraint_checks = OFF')
      await admin.execute(`LOCK TABLES ${[...reads, ...writes].join(', ')}`)
      for (const table of all) {
        await admin.execute(`INSERT INTO ${saved(table)} SELECT * FROM ${table}`)
      }
      await admin.execute('UNLOCK TABLES')
      this.#hasSaved = true
      this.#savedRaise = this.#raise
    })
  }

  /** Back to what was saved; without that, an empty database. */
  putBack(): Promise<void> {
    return this.#inTurn(() => this.#putBackNow())
  }

  async #putBackNow(): Promise<void> {
    await this.#dropRuleNow()
    await withAdmin(this.#adminUrl, async admin => {
      if (!(await this.#isThere(admin))) return
      const all = this.#tables
      const reads = this.#hasSaved ? all.map(table => `${saved(table)} READ`) : []
      // Whoever is in the middle of a transaction ends it first; whoever comes then has to wait.
      const writes = all.map(table => `${table} WRITE`)
      await admin.execute(`LOCK TABLES ${[...writes, ...reads].join(', ')}`)
      await admin.execute(`KILL USER ${this.#account}`)
      for (const table of all) {
        if (this.#hasSaved) {
          await admin.execute(`TRUNCATE TABLE ${table}`)
          await admin.execute(`INSERT INTO ${table} SELECT * FROM ${saved(table)}`)
        } else {
          await admin.execute(`DROP TABLE ${table}`)
        }
      }
      await admin.execute('UNLOCK TABLES')
      this.#changes += 1
      this.#raise = this.#hasSaved ? this.#savedRaise : undefined
      if (!this.#hasSaved) this.#made = undefined
    })
  }

  /** An empty one in its place. */
  replace(): Promise<void> {
    return this.#inTurn(async () => {
      await withAdmin(this.#adminUrl, admin => this.#forget(admin))
      await this.#putBackNow()
    })
  }

  async remove(): Promise<void> {
    await withAdmin(this.#adminUrl, async admin => {
      await this.#forget(admin)
      await admin.execute(`DROP TABLE IF EXISTS ${this.#tables.join(', ')}`)
      await admin.execute(`DROP USER IF EXISTS ${this.#account}@localhost`)
    })
  }

  async #forget(admin: Session): Promise<void> {
    await admin.execute(`DROP TABLE IF EXISTS ${this.#tables.map(saved).join(', ')}`)
    this.#hasSaved = false
  }

  /** First contact is over: all tables are there, and what the totals held before is the opening balance. */
  async #isThere(admin: Session): Promise<boolean> {
    const [, meta = ''] = this.#tables
    const names = this.#tables.map(table => table.replaceAll('`', "'"))
    const found = await admin.query(
      `SELECT table_name FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_name IN (${names.join(', ')})`,
    )
    if (found.length < this.#tables.length) return false
    const taken = `SELECT 1 FROM ${meta} WHERE opening_generation IS NOT NULL`
    return (await admin.query(taken)).length > 0
  }
}

function saved(table: string): string {
  return table.replace(/^`/, '`saved_')
}

async function withAdmin<T>(url: string, use: (admin: Session) => Promise<T>): Promise<T> {
  const admin = await Session.open({ url })
  try {
    return await use(admin)
  } finally {
    await admin.close()
  }
}
