/**
 * The states of one side of a connection, and what leads from one to another.
 *
 * - **greeting**: our hello was sent, the peer's has not come. **open**: it was good.
 * - **ending**: we end it in order: what we sent still goes out, nothing that comes is looked at.
 * - **broken**: there is a reason why it ends, the first is kept; nothing that comes is looked at.
 * - **closed**: the socket is. Until then an orderly end by the peer changes nothing.
 *
 * What happens:
 *
 * - `greeted`: a good hello came. `told why`: the peer says why it ends the connection. Both are read
 *   only while it is greeting or open.
 * - `close asked`: we are done with it.
 * - `offended`: something came that was not to be expected, or did not come in time; or we had
 *   something to say that no frame holds. The deadlines still run while it is ending or broken.
 * - `place needed`: another peer gets its place, or we end altogether.
 * - `not reading`: the peer leaves too much unread, or for too long.
 * - `socket failed`, `socket closed`: as Node says, so nothing is assumed of when, or how often.
 */

import { REFUSED, type StateTable } from '../state-table.ts'

export type ChannelState = 'greeting' | 'open' | 'ending' | 'broken' | 'closed'
export type ChannelEvent =
  | 'greeted'
  | 'told why'
  | 'close asked'
  | 'offended'
  | 'place needed'
  | 'not reading'
  | 'socket failed'
  | 'socket closed'

export const CHANNEL_STATES = {
  greeting: {
    greeted: 'open',
    'told why': 'broken',
    'close asked': 'ending',
    offended: 'broken',
    'place needed': 'broken',
    'not reading': 'broken',
    'socket failed': 'broken',
    'socket closed': 'closed',
  },
  open: {
    greeted: REFUSED,
    'told why': 'broken',
    'close asked': 'ending',
    offended: 'broken',
    'place needed': 'broken',
    'not reading': 'broken',
    'socket failed': 'broken',
    'socket closed': 'closed',
  },
  ending: {
    greeted: REFUSED,
    'told why': REFUSED,
    'close asked': 'ending',
    offended: 'broken',
    'place needed': 'broken',
    'not reading': 'broken',
    'socket failed': 'broken',
    'socket closed': 'closed',
  },
  broken: {
    greeted: REFUSED,
    'told why': REFUSED,
    'close asked': 'broken',
    offended: 'broken',
    'place needed': 'broken',
    'not reading': 'broken',
    'socket failed': 'broken',
    'socket closed': 'closed',
  },
  closed: {
    greeted: REFUSED,
    'told why': REFUSED,
    'close asked': 'closed',
    offended: REFUSED,
    'place needed': 'closed',
    'not reading': REFUSED,
    'socket failed': 'closed',
    'socket closed': 'closed',
  },
} as const satisfies StateTable<ChannelState, ChannelEvent>
