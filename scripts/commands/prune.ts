import { pruneOrder, readClosing } from '../../parser/ledger/index.ts'
import { formatBytes, formatCount, formatCountOf } from '../../shared/numbers.ts'
import { printable } from '../../shared/printable.ts'
import {
  command,
  count,
  digits,
  fields,
  flag,
  one,
  oneOf,
  orNull,
  text,
  time,
} from '../command-table/index.ts'
import { askAndWait, withLedger } from '../mariadb/index.ts'
import { EXIT, environment, print, timeOf, timeText, usage } from '../terminal/index.ts'
import { DRY_RUN, patience, REASON, TIMEOUT } from './correction.ts'

export const prune = command({
  name: 'prune',
  summary: 'close the books up to a time: what single files had before is not kept any more',
  about: `What was counted, and taken back, before that time becomes part of the opening balance of each
consumer, and the sums of those files are removed from the database. No total changes, and all can be
proved as before; but a file that is closed cannot be taken back or counted again, and the account of a
consumer begins with the new balance. That a content was counted is known for ever. Files on which
something is under way stay open.

It is carried out by whoever counts, a part at a time, beside the counting.`,
  options: {
    before: {
      ...{ kind: 'text', value: 'T' },
      help: 'up to then; T is UTC: 2026-01-31, 2026-01-31T23:59:59',
    },
    keep: {
      ...{ kind: 'text', value: 'DAYSd', insteadOf: 'before' },
      help: 'up to so many days before today, as 400d',
    },
    reason: REASON,
    'dry-run': DRY_RUN,
    timeout: TIMEOUT,
  },
  exits: {
    0: 'it is done; with --dry-run: it can be',
    1: 'it cannot be done, for the reason that is told; nothing was changed',
    3: 'it is not done yet, and will be once it can; or it cannot be known',
  },
  examples: [
    { line: 'countersink prune --keep 400d --dry-run', what: 'what that would come to' },
    { line: 'countersink prune --before 2026-01-01', what: 'close the books of the last year' },
  ],
  answer: one(
    fields({
      do: oneOf('prune'),
      before: time('up to when'),
      state: oneOf('done', 'refused', 'waiting', 'possible'),
      answer: orNull(text('why it waits or is refused, or what came of it')),
      files: orNull(count(), 'with --dry-run: that would be closed'),
      postings: orNull(count(), 'how often they were counted and taken back'),
      pairs: orNull(digits(), 'consumers in those that are counted'),
      bytes: orNull(count(), 'of sums that would be removed'),
      ...{ order: orNull(text('its id; null: none was made')), isDryRun: flag() },
    }),
  ),
  async run({ values, answer }) {
    const beforeMs = timeMeant(values.before, values.keep)
    const { paths } = environment(values.dir)
    const isDryRun = values['dry-run']
    const told = await withLedger(paths, async ledger => {
      const { session, names } = ledger
      if (isDryRun) {
        const { files, postings, pairs, bytes } = await readClosing(session, names, beforeMs)
        return {
          ...{ state: 'possible' as const, answer: null, order: null },
          ...{ files, postings, pairs: `${pairs}`, bytes },
        }
      }
      const request = pruneOrder(beforeMs, values.reason)
      const standing = await askAndWait(ledger, request, patience(paths, values.timeout))
      const { state, answer } = standing
      return { ...NOT_COUNTED, state, answer, order: request.id.toString('hex') }
    })
    const { state } = told
    if (values.json) {
      await answer({
        ...{ do: 'prune', before: new Date(beforeMs).toISOString() },
        ...{ ...told, state: state === 'working' ? 'waiting' : state, isDryRun },
      })
    } else await print(`${sentence(told, beforeMs)}\n`)
    if (state === 'done' || state === 'possible') return EXIT.ok
    return state === 'refused' ? EXIT.no : EXIT.cannot
  },
})

const NOT_COUNTED = { files: null, postings: null, pairs: null, bytes: null } as const

interface Told {
  readonly state: 'done' | 'refused' | 'waiting' | 'working' | 'possible'
  readonly answer: string | null
  readonly files: number | null
  readonly postings: number | null
  readonly pairs: string | null
  readonly bytes: number | null
}

function sentence({ state, answer, files, postings, pairs, bytes }: Told, beforeMs: number) {
  const more = printable(answer ?? '')
  switch (state) {
    case 'done':
      return `done: ${more}`
    case 'refused':
      return `not closed: ${more}`
    case 'possible':
      return `up to ${timeText(beforeMs)} UTC: ${formatCountOf(files ?? 0, 'file')}, counted and taken back ${formatCountOf(postings ?? 0, 'time')}, with ${formatCount(BigInt(pairs ?? 0))} sums of consumers; ${formatBytes(bytes ?? 0)} of them would be removed`
    case 'working':
      return `${more}; their sums are being removed`
    default:
      return `not yet: ${more || 'it waits for a service that counts'}. It is done once it can be.`
  }
}

function timeMeant(before: string | undefined, keep: string | undefined): number {
  if (before === undefined && keep === undefined) throw usage('give either --before or --keep')
  const days = /^(\d{1,5})d$/.exec(keep ?? '')?.[1]
  if (keep !== undefined && days === undefined) {
    throw usage(`--keep must be a number of days like 400d, got ${JSON.stringify(keep)}`)
  }
  const now = Date.now()
  // Of whole days, so that what is asked for twice a day is the same.
  const midnight = now - (now % DAY_MS)
  const ms = timeOf('before', before) ?? midnight - Number(days) * DAY_MS
  if (ms > now) throw usage(`--before must be a time that has come, got ${before}`)
  return ms
}

const DAY_MS = 86_400_000
