import { GRANULARITIES, type UsageAccount, type UsageOf } from '../../parser/ledger/index.ts'
import { parseU64 } from '../../shared/numbers.ts'
import {
  USAGE_END,
  USAGE_HEAD,
  USAGE_PERIOD,
  usageHeadJson,
  usagePeriodJson,
} from '../answers/index.ts'
import { withUsage } from '../asking/index.ts'
import { command, lines } from '../command-table/index.ts'
import { periodText, tellUsage } from '../reports/index.ts'
import { EXIT, environment, givenTime, print, usage as wrongUsage } from '../terminal/index.ts'

const OWN_TIME =
  "T is 2026-11-01 or 2026-11-01T10:00 by the clocks of the ledger's time zone, or has Z or an offset behind it"

export const usage = command({
  name: 'usage',
  summary: 'tell what was used by hour, day or month',
  about: `Tells what was used in each period: by all consumers together, by one, by the largest or by each. A file
belongs to the time that its manifest or "publish --used-at" gives, else to that of its arrival; what is
taken back leaves its period. All of it is as of one moment, and what is counted and not rolled up into
periods yet is in it.

Days and months are those of the ledger's time zone. Where hours of the time asked for are not kept any
more, days are shown, and months in the place of days. A period that --from or --to falls into is shown
whole.`,
  options: {
    consumer: { kind: 'text', value: 'ID', help: 'of this consumer' },
    top: {
      ...{ kind: 'number', value: 'N', min: 1, max: 100_000, insteadOf: 'consumer' },
      help: 'of each period the N largest consumers, largest first, equal ones by id',
    },
    all: {
      ...{ kind: 'switch', insteadOf: 'consumer' },
      help: 'of each period every consumer that has something there, by id',
    },
    from: {
      ...{ kind: 'text', value: 'T' },
      help: `the first of it; without it 48 hours, 30 days or 12 months before the end. ${OWN_TIME}`,
    },
    to: { kind: 'text', value: 'T', help: 'before this; without it until now' },
    by: {
      ...{ kind: 'choice', value: 'hour|day|month', choices: GRANULARITIES, default: 'day' },
      help: 'how long a period is (default: day)',
    },
    csv: { kind: 'switch', insteadOf: 'json', help: 'as CSV: period,consumer,amount' },
  },
  exits: { 0: 'told', 3: 'it cannot be told now, or usage by time is not kept' },
  examples: [
    { line: 'countersink usage', what: 'the last 30 days' },
    {
      line: 'countersink usage --consumer 4711 --by hour --from 2026-11-24',
      what: 'what this one has used since then, hour by hour',
    },
    { line: 'countersink usage --top 20 --by month --csv', what: 'the largest of each month' },
  ],
  answer: lines(USAGE_HEAD, USAGE_PERIOD, USAGE_END),
  async run({ values, answer }) {
    const of = whose(values)
    const [from, to] = [givenTime('from', values.from), givenTime('to', values.to)]
    const by = GRANULARITIES.find(one => one === values.by)!
    const { paths } = environment(values.dir)
    await withUsage(paths, { of, by, from, to }, async account => {
      if (account.toMs <= account.fromMs) throw wrongUsage('--from must be before --to')
      if (values.json) await tellPrograms(account, by, answer)
      else if (values.csv) await writeCsv(account)
      else await tellUsage(account, of, by)
    })
    return EXIT.ok
  },
})

function whose({
  consumer,
  top,
  all,
}: {
  readonly consumer: string | undefined
  readonly top: number | undefined
  readonly all: boolean
}): UsageOf {
  if (all && top !== undefined) throw wrongUsage('--top and --all cannot be combined')
  if (all) return 'each'
  if (top !== undefined) return { top }
  if (consumer === undefined) return 'all'
  const id = parseU64(consumer)
  if (id !== undefined) return { id }
  throw wrongUsage(
    `--consumer must be a whole number from 0 to 18446744073709551615, got ${JSON.stringify(consumer)}`,
  )
}

async function tellPrograms(
  account: UsageAccount,
  asked: UsageAccount['by'],
  answer: (fields: object) => Promise<void>,
): Promise<void> {
  await answer(usageHeadJson(account, asked))
  let told = 0
  for await (const line of account.lines()) {
    await answer(usagePeriodJson(account, line))
    told += 1
  }
  await answer({ kind: 'end', lines: told })
}

async function writeCsv(account: UsageAccount): Promise<void> {
  await print('period,consumer,amount\n')
  for await (const line of account.lines()) {
    const { id, amount } = line
    await print(`${periodText(account, line)},${id ?? ''},${amount}\n`)
  }
}
