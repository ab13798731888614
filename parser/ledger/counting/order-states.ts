/**
 * What a person has asked for, and what may become of it. It stands in the ledger, so that whoever counts
 * carries it out, once, and the same request made again is the same order.
 *
 * - **absent**: nobody has asked.
 * - **waiting**: asked; also for a file that is not counted yet.
 * - **working**: the batch that carries it out has begun.
 * - **done**: for ever.
 * - **refused**: it cannot be done, for a reason; nothing was changed. Asked again it waits again.
 */

import { refusing, type StateTable } from '../../../shared/state-table.ts'

/**
 * - **undo**: a counted file is taken back. **redo**: one that was is counted again.
 * - **supersede**: a file is counted in place of another one, which is taken back.
 * - **release**, **refuse**: a held file is counted, or not.
 * - **reset**: the totals are emptied. **prune**: the books are closed up to a time.
 */
export const ORDER_KINDS = [
  'undo',
  'redo',
  'supersede',
  'release',
  'refuse',
  'reset',
  'prune',
] as const
export type OrderKind = (typeof ORDER_KINDS)[number]

export type OrderState = 'absent' | 'waiting' | 'working' | 'done' | 'refused'

/**
 * - **ask**. **carryOut**: at once, in one transaction. **begin**: its batch has begun; **end**: it has
 *   ended. **giveBack**: it was taken back for a while. **decline**: before it has begun, or when its
 *   batch was taken back.
 */
export type OrderEvent = (typeof EVENTS)[number]

const EVENTS = ['ask', 'carryOut', 'begin', 'end', 'giveBack', 'decline'] as const
const NOTHING_MAY = refusing(EVENTS)

export const ORDER_STATES = {
  absent: { ...NOTHING_MAY, ask: 'waiting' },
  waiting: {
    ...NOTHING_MAY,
    ask: 'waiting',
    carryOut: 'done',
    begin: 'working',
    decline: 'refused',
  },
  working: { ...NOTHING_MAY, ask: 'working', end: 'done', giveBack: 'waiting', decline: 'refused' },
  done: { ...NOTHING_MAY, ask: 'done' },
  refused: { ...NOTHING_MAY, ask: 'waiting' },
} as const satisfies StateTable<OrderState, OrderEvent>
