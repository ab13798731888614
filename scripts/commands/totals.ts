import { readTopTotals, readTotal, readTotals, type Total } from '../../parser/ledger/index.ts'
import { parseU64 } from '../../shared/numbers.ts'
import { hasPrivateDatabase, serviceDatabase, withServiceDatabase } from '../mariadb/index.ts'
import {
  type Command,
  cannot,
  DIR_HELP,
  EXIT,
  environment,
  parseOptions,
  print,
  usage,
  whatToDoFirst,
  wholeNumber,
} from '../terminal/index.ts'

export const totals: Command = {
  name: 'totals',
  summary: 'print the totals per consumer',
  help: `
Usage: countersink totals [--dir D] [--id N | --top N] [--json]

Prints id<TAB>amount, ascending by id. When nothing runs, the private MariaDB is started for the
question and stopped after it. Without COUNTERSINK_DATABASE_URL the service's own database is asked;
one with another ledger is refused.

${DIR_HELP}
  --id N             only this consumer; exit status 1 when it has no total
  --top N            the N largest, largest first, equal ones by id
  --json             one object a line; ids and amounts are strings
`,
  async run(args) {
    const { values } = parseOptions(args, {
      id: { type: 'string' },
      top: { type: 'string' },
      json: { type: 'boolean', default: false },
    })
    if (values.id !== undefined && values.top !== undefined) {
      throw usage('--id and --top cannot be combined')
    }
    const id = values.id === undefined ? undefined : parseU64(values.id)
    if (values.id !== undefined && id === undefined) {
      throw usage(
        `--id must be a whole number from 0 to 18446744073709551615, got ${JSON.stringify(values.id)}`,
      )
    }
    const top =
      values.top === undefined ? undefined : wholeNumber('top', values.top, 1, 1_000_000_000)
    const { paths } = environment(values.dir)
    const service = await serviceDatabase(paths)
    const { config } = service
    if (config.databaseUrl === '' && !hasPrivateDatabase(paths)) {
      throw cannot(`there are no totals in ${paths.dir} yet`, await whatToDoFirst(paths))
    }
    return withServiceDatabase(paths, service, async session => {
      const show = async (total: Total): Promise<void> =>
        print(
          values.json
            ? `{"id":"${total.id}","amount":"${total.amount}"}\n`
            : `${total.id}\t${total.amount}\n`,
        )
      if (id !== undefined) {
        const total = await readTotal(session, config, id)
        if (total !== undefined) await show(total)
        return total === undefined ? EXIT.no : EXIT.ok
      }
      const all =
        top === undefined ? readTotals(session, config) : readTopTotals(session, config, top)
      for await (const total of all) await show(total)
      return EXIT.ok
    })
  },
}
