import {
  type GivenTime,
  GRANULARITIES,
  type UsageAccount,
  type UsageOf,
} from '../../parser/ledger/index.ts'
import { withUsage } from '../asking/index.ts'
import { givenTime, usage as wrongUsage } from '../terminal/index.ts'
import { assertWhich } from './assert-which.ts'
import { withService } from './service.ts'
import { inGroups, streamed } from './streamed.ts'
import type { UsageFacts, UsageOptions, Used } from './types.ts'

export function usageForProgram(options: UsageOptions): AsyncGenerator<Used, void, void> {
  return streamed(options, readThem)
}

function readThem(
  options: UsageOptions,
  take: (group: readonly Used[]) => Promise<void>,
): Promise<void> {
  return withService(options, async ({ paths, asking }) => {
    const of = whose(options)
    const by = options.by ?? 'day'
    if (!GRANULARITIES.includes(by)) {
      throw wrongUsage(`by must be ${GRANULARITIES.join(', ')}, got ${JSON.stringify(by)}`)
    }
    const [from, to] = [timeGiven('from', options.from), timeGiven('to', options.to)]
    await withUsage(
      paths,
      { of, by, from, to },
      async account => {
        if (account.toMs <= account.fromMs) throw wrongUsage('from must be before to')
        options.onFacts?.(factsOf(account))
        await inGroups(linesOf(account), take)
      },
      asking,
    )
  })
}

function whose({ id, top, each = false }: UsageOptions): UsageOf {
  assertWhich({ id, top })
  if (each && (id !== undefined || top !== undefined)) {
    throw wrongUsage('each cannot be combined with id or top')
  }
  if (each) return 'each'
  if (id !== undefined) return { id }
  return top === undefined ? 'all' : { top }
}

function timeGiven(option: string, time: Date | string | undefined): GivenTime | undefined {
  if (!(time instanceof Date)) return givenTime(option, time)
  const ms = time.getTime()
  if (Number.isNaN(ms)) throw wrongUsage(`${option} must be a time, got ${time}`)
  return { ms }
}

function factsOf(account: UsageAccount): UsageFacts {
  const { by, clock, fromMs, toMs, asOfMs, rolledUpAtMs, filesNotRolledUp, isRezoning } = account
  const { hour, day, month } = account.keptFromMs
  return {
    ...{ by, timeZone: clock.timeZone, fromMs, toMs, asOfMs, rolledUpAtMs },
    ...{ filesNotRolledUp, isRezoning },
    ...{ hoursKeptFromMs: hour, daysKeptFromMs: day, monthsKeptFromMs: month },
  }
}

async function* linesOf(account: UsageAccount): AsyncGenerator<Used> {
  for await (const { period, id, amount } of account.lines()) {
    yield { fromMs: period.fromMs, toMs: period.toMs, id, amount }
  }
}
