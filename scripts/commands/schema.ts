import {
  type Account,
  quotedAccount,
  type SchemaStatements,
  schemaStatements,
} from '../../parser/ledger/index.ts'
import { configOf } from '../../shared/config.ts'
import { parseDatabaseUrl } from '../../shared/database-url.ts'
import { statePaths } from '../../shared/paths.ts'
import { command, fields, list, one, text } from '../command-table/index.ts'
import { EXIT, print, usage } from '../terminal/index.ts'

export const schema = command({
  name: 'schema',
  summary: 'print the SQL of the tables and of the accounts’ rights',
  about: `Prints the SQL with which a database administrator makes (or brings up to date) the tables of totals
and ledger, under the names that COUNTERSINK_TOTALS_TABLE, _ID, _AMOUNT and COUNTERSINK_TABLE_PREFIX
give, and two accounts with as few rights as will do: the service's, which then makes no table itself,
and one that only asks. It connects to nothing. All of it can be run again. A table of totals that is
there stays as it is. New accounts are locked until they are given a password.`,
  options: {
    database: {
      ...{ kind: 'text', value: 'NAME' },
      help: 'where (default: that of COUNTERSINK_DATABASE_URL, else countersink)',
    },
    service: {
      ...{ kind: 'text', value: 'USER[@HOST]' },
      help: "the service's account (default: that of the URL, else countersink; host %)",
    },
    reader: {
      ...{ kind: 'text', value: 'USER[@HOST]', default: 'countersink_reader' },
      help: 'the account for questions',
    },
  },
  exits: { 0: 'printed' },
  examples: [
    { line: 'countersink schema --database billing | mariadb', what: 'make all of it' },
    { line: 'countersink schema --json', what: 'the statements by what they are for' },
  ],
  answer: one(
    fields({
      ...{ database: list(text()), tables: list(text()) },
      migrations: list(text(), 'tables of an older version'),
      views: list(text(), 'of usage by time, for dashboards'),
      service: list(text(), 'its account and rights'),
      reader: list(text(), 'the account for questions'),
    }),
  ),
  async run({ values, answer }) {
    const config = configOf(statePaths(values.dir).dir, process.env)
    const url = config.databaseUrl === '' ? undefined : parseDatabaseUrl(config.databaseUrl)
    const named = url === undefined || 'wrong' in url ? undefined : url
    const database = values.database ?? named?.database ?? 'countersink'
    if (!/^\P{Cc}{1,64}$/u.test(database) || database.endsWith(' ')) {
      throw usage(
        `--database must be a name of 1 to 64 characters, got ${JSON.stringify(database)}`,
      )
    }
    const owner =
      named === undefined || ['', 'root'].includes(named.user) ? 'countersink' : named.user
    const service = accountOf('service', values.service ?? owner)
    const reader = accountOf('reader', values.reader)
    if (quotedAccount(service) === quotedAccount(reader)) {
      throw usage('--service and --reader are the same account')
    }
    const statements = schemaStatements(config, { database, service, reader })
    if (values.json) await answer(statements)
    else await print(script(statements, service, reader))
    return EXIT.ok
  },
})

function script(statements: SchemaStatements, service: Account, reader: Account): string {
  const section = (title: string, lines: readonly string[]): string =>
    [`-- ${title}`, ...lines.map(line => `${line};`), ''].join('\n')
  return [
    section('The database and its tables.', [...statements.database, ...statements.tables]),
    section('Tables of an older version; others stay as they are.', statements.migrations),
    section('Views of usage by time, for dashboards.', statements.views),
    section('The account of the service.', statements.service),
    section('An account for questions: totals, check, hashes.', statements.reader),
    '-- A new account is locked until it has a password:',
    ...[service, reader].map(account => {
      return `--   ALTER USER ${quotedAccount(account)} IDENTIFIED BY '…' ACCOUNT UNLOCK;`
    }),
    '-- Optional: with TRIGGER on the totals the service can see that there are no triggers there;',
    '-- without it, it reads back some of what it writes.',
    '',
  ].join('\n')
}

function accountOf(option: string, text: string): Account {
  const at = text.lastIndexOf('@')
  const [user, host] = at === -1 ? [text, '%'] : [text.slice(0, at), text.slice(at + 1)]
  if (/^\P{Cc}{1,128}$/u.test(user) && /^[^\p{Cc}\s]{1,255}$/u.test(host)) return { user, host }
  throw usage(`--${option} must be a user, or USER@HOST, got ${JSON.stringify(text)}`)
}
