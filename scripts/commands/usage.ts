import { GRANULARITIES, type UsageAccount, type UsageOf } from '../../parser/ledger/index.ts'
import { parseU64 } from '../../shared/numbers.ts'
import { withUsage } from '../asking/index.ts'
import {
  command,
  count,
  digits,
  fields,
  flag,
  lines,
  oneOf,
  orNull,
  text,
  time,
} from '../command-table/index.ts'
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
      line: 'countersink usage --consumer 4711 --by hour --from 2026-11-24 --to 2026-11-25',
      what: 'what this one has used on that day, hour by hour',
    },
    { line: 'countersink usage --top 20 --by month --csv', what: 'the largest of each month' },
  ],
  answer: lines(
    fields({
      ...{ kind: oneOf('usage'), by: oneOf(...GRANULARITIES), asked: oneOf(...GRANULARITIES) },
      timeZone: text('of days and months'),
      ...{ from: time(), to: time('not in it any more'), asOf: time() },
      rolledUpAt: orNull(time(), 'null: nothing is rolled up yet'),
      filesNotRolledUp: count('of this time; what they have brought is among the amounts'),
      ...{ hoursFrom: keptShape(), daysFrom: keptShape(), monthsFrom: keptShape() },
      rezoning: flag('the time zone has changed, and days are being made anew'),
    }),
    fields({
      kind: oneOf('period'),
      period: text('2026-11-01T10:00+01:00, 2026-11-01 or 2026-11'),
      ...{ start: time(), end: time('not in it any more') },
      consumer: orNull(digits(), 'null: all together'),
      amount: digits(),
    }),
    fields({
      kind: oneOf('end'),
      lines: count('periods, or consumers of periods, that were told'),
    }),
  ),
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

function keptShape() {
  return orNull(time('they are kept from then on'), 'null: all that there ever were')
}

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
  const iso = (ms: number): string => new Date(ms).toISOString()
  const isoOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : iso(ms))
  const { by, clock, fromMs, toMs, asOfMs, rolledUpAtMs, keptFromMs, isRezoning } = account
  await answer({
    ...{ kind: 'usage', by, asked, timeZone: clock.timeZone, from: iso(fromMs), to: iso(toMs) },
    ...{ asOf: iso(asOfMs), rolledUpAt: isoOrNull(rolledUpAtMs) },
    filesNotRolledUp: account.filesNotRolledUp,
    ...{ hoursFrom: isoOrNull(keptFromMs.hour), daysFrom: isoOrNull(keptFromMs.day) },
    ...{ monthsFrom: isoOrNull(keptFromMs.month), rezoning: isRezoning },
  })
  let told = 0
  for await (const line of account.lines()) {
    const { period, id, amount } = line
    await answer({
      ...{ kind: 'period', period: periodText(account, line) },
      ...{ start: iso(period.fromMs), end: iso(period.toMs) },
      ...{ consumer: id === undefined ? null : `${id}`, amount: `${amount}` },
    })
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
