/**
 * Whether the ledger's own tables still are what the statements that make them say: engine, columns and
 * unique keys. A table without its key would take a content twice; one of another engine keeps what a
 * transaction has taken back. More columns and keys than there were harm nobody. Everything here only
 * looks.
 */

import { type Config, LEDGER_TABLES } from '../../../shared/config.ts'
import type { Session } from '../connection.ts'
import { createLedger, ledgerNames } from './tables.ts'

/** What is wrong, a sentence for each. */
export async function wrongShapes(session: Session, config: Config): Promise<readonly string[]> {
  const statements = createLedger(ledgerNames(config))
  const names = new Map(LEDGER_TABLES.map(table => [`${config.tablePrefix}${table}`, table]))
  const among = `table_schema = DATABASE() AND table_name IN (${[...names].map(() => '?').join(', ')})`
  const rows = await session.query<FactRow>(
    `SELECT table_name AS name, 'engine' AS what, engine AS fact FROM information_schema.tables
      WHERE ${among}
     UNION ALL SELECT table_name, column_name, column_type FROM information_schema.columns
      WHERE ${among}
     UNION ALL SELECT table_name, 'key', GROUP_CONCAT(column_name ORDER BY seq_in_index)
       FROM information_schema.statistics WHERE ${among} AND non_unique = 0
      GROUP BY table_name, index_name`,
    [...names.keys(), ...names.keys(), ...names.keys()],
  )
  const found = new Map<string, Map<string, string[]>>()
  for (const { name, what, fact } of rows) {
    const facts = found.get(name.toLowerCase()) ?? new Map<string, string[]>()
    found.set(name.toLowerCase(), facts)
    facts.set(what, [...(facts.get(what) ?? []), plain(fact ?? 'none')])
  }
  return [...names].flatMap(([name, table]) => {
    const facts = found.get(name.toLowerCase())
    return expectedOf(statements[table]).flatMap(({ what, fact }) => {
      const is = facts?.get(what)
      if (is?.includes(plain(fact))) return []
      if (what === 'key') return [`the table \`${name}\` has no unique key (${fact}) any more`]
      if (what === 'engine') return [`the engine of the table \`${name}\` is ${is}, not ${fact}`]
      if (is === undefined) return [`the table \`${name}\` has no column \`${what}\``]
      return [`the column \`${what}\` of the table \`${name}\` is ${is}, expected ${fact}`]
    })
  })
}

interface Expected {
  /** The name of a column, whose type is told; or one of these. */
  readonly what: 'engine' | 'key' | (string & {})
  readonly fact: string
}

/** From the lines of a statement that makes a table. */
function expectedOf(statement: string): Expected[] {
  const expected: Expected[] = [{ what: 'engine', fact: 'InnoDB' }]
  for (const line of statement.split('\n')) {
    const key = /^ {2}(?:PRIMARY|UNIQUE) KEY[^(]*\((.*)\)/.exec(line)?.[1]
    if (key !== undefined) expected.push({ what: 'key', fact: key.replaceAll(' ', '') })
    const [, what, fact] =
      /^ {2}`?([a-z_0-9]+)`? +([A-Z]+(?:\(.*?\))?(?: UNSIGNED)?)/.exec(line) ?? []
    if (what === undefined || fact === undefined) continue
    expected.push({ what, fact })
    if (line.includes('PRIMARY KEY')) expected.push({ what: 'key', fact: what })
  }
  return expected
}

/** Servers write types in small letters, and some of them how wide numbers would be shown. */
function plain(fact: string): string {
  return fact
    .toLowerCase()
    .replaceAll(', ', ',')
    .replace(/int\(\d+\)/, 'int')
}

interface FactRow {
  readonly name: string
  readonly what: string
  readonly fact: string | null
}
