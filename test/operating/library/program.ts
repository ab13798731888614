/**
 * Somebody's program: is compiled against the types of the packed library, and run with it. What it has
 * found out is one line of JSON; whatever else is printed, by whomever, is a fault.
 */

import {
  type Checked,
  CountersinkError,
  check,
  type ErrorCode,
  type ExplainedConsumer,
  explain,
  type Published,
  publish,
  type ServiceOptions,
  totals,
  type UsageFacts,
  usage,
  type Verified,
  verify,
} from 'countersink'

interface Given extends ServiceOptions {
  readonly files: readonly string[]
}

const given = JSON.parse(process.argv[2] ?? '') as Given
const { files, ...service } = given
const before = stateOfProcess()

async function codeOf(question: Promise<unknown>): Promise<ErrorCode | 'none' | 'another error'> {
  try {
    await question
    return 'none'
  } catch (error) {
    return error instanceof CountersinkError ? error.code : 'another error'
  }
}

function stateOfProcess(): string {
  const listeners = process
    .eventNames()
    .map(name => `${String(name)} ${process.listenerCount(name)}`)
  return JSON.stringify([process.env, listeners.sort(), process.exitCode ?? null])
}

const [first = '', ...others] = files
const published: readonly Published[] = await publish({
  ...{ ...service, files, wait: true },
  usedAt: '2026-10-31T12:30:00Z',
})
const checked: Checked = await check({ ...service, subject: first })
let sum = 0n
const all: [bigint, bigint][] = []
for await (const { id, amount } of totals(service)) {
  sum += amount
  all.push([id, amount])
}
const largest: bigint[] = []
for await (const { id } of totals({ ...service, top: 1 })) largest.push(id)
let read = 0
for await (const _ of totals(service)) {
  read += 1
  break
}
const none: bigint[] = []
for await (const { id } of totals({ ...service, id: 2n ** 64n - 1n })) none.push(id)
const used: [number, bigint | undefined, bigint][] = []
let facts: UsageFacts | undefined
const one = {
  ...service,
  by: 'hour',
  from: '2026-10-31T12:00Z',
  to: new Date('2026-10-31T13:00Z'),
} as const
for await (const { fromMs, id, amount } of usage({
  ...one,
  each: true,
  onFacts: told => (facts = told),
})) {
  used.push([fromMs, id, amount])
}
const usedBy: bigint[] = []
for await (const { amount } of usage({ ...one, id: 1n, by: 'month' })) usedBy.push(amount)
for await (const { amount } of usage({ ...one, top: 1 })) usedBy.push(amount)
for await (const { amount } of usage(one)) usedBy.push(amount)
let share = 0
const proof: Verified = await verify({ ...service, full: true, onProgress: part => (share = part) })
const file = await explain({ ...service, subject: first })
const consumer: ExplainedConsumer = await explain({ ...service, consumer: 1n })
const unknown = await explain({ ...service, subject: 'never-published' })

const giveUp = AbortSignal.abort(new Error('no more'))
const codes = {
  noDirectory: await codeOf(check({ stateDir: '/no/such/place', subject: first })),
  noFile: await codeOf(check({ ...service, subject: 'what' })),
  noPath: await codeOf(explain({ ...service, subject: '/no/such/file' })),
  setting: await codeOf(verify({ ...service, env: { COUNTERSINK_QUIET_MS: 'soon' } })),
  givenUp: await codeOf(verify({ ...service, signal: giveUp })),
  givenUpTotals: await codeOf(totals({ ...service, signal: giveUp }).next()),
  usedBy: await codeOf(usage({ ...one, each: true, id: 1n }).next()),
  usedFrom: await codeOf(usage({ ...one, from: '2026-11-02' }).next()),
  usedWhen: await codeOf(usage({ ...one, from: new Date('never') }).next()),
  givenUpUsage: await codeOf(usage({ ...one, signal: giveUp }).next()),
  deep: await codeOf(
    // @ts-expect-error: what is not exported has no types either.
    import('countersink/dist/shared/errors.js').catch(({ code }) => {
      if (code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw new Error(code)
    }),
  ),
}
const late = new AbortController()
const waiting = publish({
  ...{ ...service, files: others, wait: true, signal: late.signal },
  env: { ...service.env, COUNTERSINK_QUIET_MS: '600000' },
  onNotice: () => late.abort(new Error('enough')),
})
const stopped = await codeOf(waiting)

const told = {
  published: published.map(one => [
    one.outcome,
    one.outcome === 'refused' ? one.error.code : one.reasons.length > 0,
  ]),
  ...{ used, usedBy, facts },
  ...{ checked, all, sum, largest, read, none, share, file, consumer, unknown, codes, stopped },
  proof: { addsUp: proof.addsUp, sums: proof.sums, differences: proof.differencesCount },
  isUntouched: stateOfProcess() === before,
}
process.stdout.write(
  `${JSON.stringify(told, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))}\n`,
)
