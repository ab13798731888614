import { Session } from '../../parser/ledger/connection.ts'
import { ledgerNames } from '../../parser/ledger/schema/tables.ts'
import type { Config } from '../../shared/config.ts'

/**
 * The tables of one history, and what can happen to a database as a whole: it is put back to what it
 * was, or an empty one takes its place. Connections of the history's own account end with it, and new
 * ones wait until it is done, as at a restored or replaced server.
 */
export class HistoryDatabase {
  readonly #adminUrl: string
  readonly #account: string
  readonly #tables: readonly string[]
  #hasSaved = false
  #wasChanged = false

  constructor(adminUrl: string, account: string, config: Config) {
    this.#adminUrl = adminUrl
    this.#account = account
    const { totals, meta, batch, file, sighting } = ledgerNames(config)
    this.#tables = [totals, meta, batch, file, sighting]
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

  /** Whether it ever was another than what was written into it. */
  get wasChanged(): boolean {
    return this.#wasChanged
  }

  /** Keeps what stands there now; nothing before the first contact. */
  async save(): Promise<void> {
    await withAdmin(this.#adminUrl, async admin => {
      await this.#forget(admin)
      if (!(await this.#isThere(admin))) return
      const all = this.#tables
      for (const table of all) await admin.execute(`CREATE TABLE ${saved(table)} LIKE ${table}`)
      const reads = all.map(table => `${table} READ`)
      const writes = all.map(table => `${saved(table)} WRITE`)
      await admin.execute(`LOCK TABLES ${[...reads, ...writes].join(', ')}`)
      for (const table of all) {
        await admin.execute(`INSERT INTO ${saved(table)} SELECT * FROM ${table}`)
      }
      await admin.execute('UNLOCK TABLES')
      this.#hasSaved = true
    })
  }

  /** Back to what was saved; without that, an empty database. */
  async putBack(): Promise<void> {
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
      this.#wasChanged = true
    })
  }

  /** An empty one in its place. */
  async replace(): Promise<void> {
    await withAdmin(this.#adminUrl, admin => this.#forget(admin))
    await this.putBack()
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

  /** First contact is over: its last table is there, and has its row. */
  async #isThere(admin: Session): Promise<boolean> {
    const [, meta = ''] = this.#tables
    const names = this.#tables.map(table => table.replaceAll('`', "'"))
    const found = await admin.query(
      `SELECT table_name FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_name IN (${names.join(', ')})`,
    )
    if (found.length < this.#tables.length) return false
    return (await admin.query(`SELECT 1 FROM ${meta}`)).length > 0
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
