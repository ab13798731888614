import type { Session } from '../connection.ts'

/**
 * Whether SHOW GRANTS says that this account has a privilege on a table of the database in use. What it
 * does not say for certain (a pattern that is not exactly this database) counts as not given.
 */
export async function isGranted(
  session: Session,
  privilege: string,
  table: string,
): Promise<boolean> {
  const [database] = await session.query<{ name: string }>('SELECT DATABASE() AS name')
  const grants = await session.query<Record<string, string>>('SHOW GRANTS')
  return grants.some(grant =>
    gives(Object.values(grant)[0] ?? '', { privilege, database: database?.name ?? '', table }),
  )
}

function gives(
  grant: string,
  wanted: { readonly privilege: string; readonly database: string; readonly table: string },
): boolean {
  const match = /^GRANT (.+?) ON (?:TABLE )?(\*|`(?:[^`]|``)*`)\.(\*|`(?:[^`]|``)*`) TO /s.exec(
    grant,
  )
  if (match === null) return false
  const [, privileges = '', schema = '', name = ''] = match
  const isGiven = privileges.split(', ').some(one => one === wanted.privilege || one === ALL)
  const isHere = schema === '*' || unquoted(schema).replaceAll('\\', '') === wanted.database
  return isGiven && isHere && (name === '*' || isSameTable(unquoted(name), wanted.table))
}

const ALL = 'ALL PRIVILEGES'

function unquoted(name: string): string {
  return name.slice(1, -1).replaceAll('``', '`')
}

/** On some systems names of tables have no case. */
function isSameTable(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
