import { readTopTotals, readTotal, readTotals, type Total } from '../../parser/ledger/index.ts'
import { parseU64 } from '../../shared/numbers.ts'
import { totalsDatabase } from '../asking/index.ts'
import { command, digits, fields, lines, orNull } from '../command-table/index.ts'
import { withServiceDatabase } from '../mariadb/index.ts'
import { EXIT, environment, print, usage } from '../terminal/index.ts'

export const totals = command({
  name: 'totals',
  summary: 'print the totals per consumer',
  about: `Prints id<TAB>amount, ascending by id. When nothing runs, the private MariaDB is started for the
question and stopped after it. Without COUNTERSINK_DATABASE_URL the service's own database is asked;
one with another ledger is refused.`,
  options: {
    id: { kind: 'text', value: 'N', help: 'only this consumer' },
    top: {
      ...{ kind: 'number', value: 'N', min: 1, max: 1_000_000_000, insteadOf: 'id' },
      help: 'the N largest, largest first, equal ones by id',
    },
  },
  exits: { 0: 'printed', 1: 'the consumer of --id has no total' },
  examples: [
    { line: 'countersink totals --top 5', what: 'the five largest' },
    { line: 'countersink totals --id 4711 --json', what: 'one, for a program' },
  ],
  answer: lines(fields({ id: digits(), amount: orNull(digits(), 'null: that of --id has none') })),
  async run({ values, answer }) {
    const id = values.id === undefined ? undefined : parseU64(values.id)
    if (values.id !== undefined && id === undefined) {
      throw usage(
        `--id must be a whole number from 0 to 18446744073709551615, got ${JSON.stringify(values.id)}`,
      )
    }
    const { top } = values
    const { paths } = environment(values.dir)
    const service = await totalsDatabase(paths)
    const { config } = service
    return withServiceDatabase(paths, service, async session => {
      const show = ({ id, amount }: Total): Promise<void> =>
        values.json ? answer({ id: `${id}`, amount: `${amount}` }) : print(`${id}\t${amount}\n`)
      if (id !== undefined) {
        const total = await readTotal(session, config, id)
        if (total !== undefined) await show(total)
        else if (values.json) await answer({ id: `${id}`, amount: null })
        return total === undefined ? EXIT.no : EXIT.ok
      }
      const all =
        top === undefined ? readTotals(session, config) : readTopTotals(session, config, top)
      for await (const total of all) await show(total)
      return EXIT.ok
    })
  },
})
