import {
  findOrder,
  type OrderStanding,
  readEmptied,
  resetOrder,
} from '../../parser/ledger/index.ts'
import { formatCount, formatCountOf } from '../../shared/numbers.ts'
import { printable } from '../../shared/printable.ts'
import { command, digits, fields, flag, one, oneOf, orNull, text } from '../command-table/index.ts'
import { askAndWait, withLedger } from '../mariadb/index.ts'
import { EXIT, environment, print, usage } from '../terminal/index.ts'
import { DRY_RUN, patience, TIMEOUT } from './correction.ts'

export const reset = command({
  name: 'reset',
  summary: 'empty the totals, so that each consumer begins with zero again',
  about: `Takes from each total just what is in it, and keeps what that was: the account of a consumer and every
proof go on through it, and "countersink undo" gives all of it back. It is carried out by whoever counts,
some totals at a time; what is counted, or written by others, meanwhile stays.

The reason names it: asked again with the same one it is the same, also while it is under way or after
this command was ended. So give each its own, as the month.`,
  options: {
    'to-zero': {
      ...{ kind: 'switch', help: 'that this is meant' },
      required: 'every total would be set to zero: say that this is meant, with --to-zero',
    },
    reason: {
      ...{
        kind: 'text',
        value: 'TEXT',
        help: 'why, as 2026-11; it is kept, and names this',
      },
      required: 'a reason must be given, as --reason 2026-11: it names what is done, once',
    },
    'dry-run': DRY_RUN,
    timeout: TIMEOUT,
  },
  exits: {
    0: 'it is done; with --dry-run: it can be',
    1: 'it cannot be done, or was done before with this reason; nothing was changed',
    3: 'it is not done yet, and will be once it can; or it cannot be known',
  },
  examples: [
    {
      line: 'countersink reset --to-zero --reason 2026-11',
      what: 'begin a new month',
    },
  ],
  answer: one(
    fields({
      ...{ do: oneOf('reset'), reason: text() },
      state: oneOf('done', 'repeated', 'refused', 'waiting', 'possible'),
      answer: orNull(text('why it waits or is refused, or what came of it')),
      totals: orNull(digits(), 'with --dry-run: how many would be emptied'),
      amount: orNull(digits(), 'with --dry-run: of how much together'),
      ...{ order: orNull(text('its id; null: none was made')), isDryRun: flag() },
    }),
  ),
  async run({ values, answer }) {
    const { paths } = environment(values.dir)
    const reason = (values.reason ?? '').trim()
    if (reason === '') throw usage('the reason must not be empty: it names what is done')
    const isDryRun = values['dry-run']
    const told = await withLedger(paths, async ledger => {
      const { session, names, uuid } = ledger
      const request = resetOrder(uuid, reason)
      const before = await findOrder(session, names, request.id)
      const none = { totals: null, amount: null }
      if (before?.state === 'done') {
        return { state: 'repeated' as const, answer: before.answer, ...none }
      }
      if (isDryRun) {
        const { totals, amount, left } = await readEmptied(session, names)
        return {
          ...{ state: 'possible' as const, answer: left },
          ...{ totals: `${totals}`, amount: `${amount}` },
        }
      }
      const standing = await askAndWait(ledger, request, patience(paths, values.timeout))
      return { ...none, ...standing, order: request.id.toString('hex') }
    })
    const { state, totals, amount } = told
    const order = 'order' in told ? told.order : null
    if (values.json) {
      await answer({
        ...{ do: 'reset', reason, state: state === 'working' ? 'waiting' : state },
        ...{ answer: told.answer, totals, amount, order, isDryRun },
      })
    } else await print(`${sentence(state, told.answer, totals, amount)}\n`)
    if (state === 'done' || state === 'possible') return EXIT.ok
    return state === 'refused' || state === 'repeated' ? EXIT.no : EXIT.cannot
  },
})

function sentence(
  state: OrderStanding['state'] | 'possible' | 'repeated',
  answer: string | null,
  totals: string | null,
  amount: string | null,
): string {
  const more = answer === null ? '' : `: ${printable(answer)}`
  switch (state) {
    case 'done':
      return `emptied${more}`
    case 'repeated':
      return `nothing was done: they were emptied before with this reason${more}. Give another one to empty them again.`
    case 'refused':
      return `not emptied${more}`
    case 'possible':
      return `would empty ${formatCountOf(Number(totals ?? 0), 'total')}, of ${formatCount(BigInt(amount ?? 0))} together${more}`
    default:
      return `not yet${more || ': it waits for a service that counts'}. It is done once it can be; the same command tells.`
  }
}
