/**
 * The states of the supervisor, and what leads from one to another.
 *
 * - **starting**: not all of what it keeps has answered yet.
 * - **running**: all of it has, once; what dies afterwards is the child's affair.
 * - **draining**: the generator has ended by itself; the parser takes what is queued.
 * - **stopping**: nothing is started any more, and what was started ends.
 * - **stopped**: nothing of it runs, and others may have the directory.
 *
 * What happens:
 *
 * - `ready`: whatever was to answer at the start has done so, or has ended.
 * - `generator ended`: by itself, or because it was asked to; it does so once.
 * - `children stop asked`: all but MariaDB are to end, for a last look at what they leave; nobody else
 *   may have the directory yet.
 * - `stop asked`: everything is to end in order.
 * - `abandoned`: the children were killed.
 * - `all ended`: in order; the start has come to its end before.
 *
 * That something failed changes no state: whoever started it is told, and asks it to stop.
 */

import { REFUSED, type StateTable } from '../../shared/state-table.ts'
import type { SupervisorState } from '../state/index.ts'

export type SupervisorEvent =
  | 'ready'
  | 'generator ended'
  | 'children stop asked'
  | 'stop asked'
  | 'abandoned'
  | 'all ended'

export const SUPERVISOR_STATES = {
  starting: {
    ready: 'running',
    'generator ended': 'draining',
    'children stop asked': REFUSED,
    'stop asked': 'stopping',
    abandoned: 'stopping',
    'all ended': REFUSED,
  },
  running: {
    ready: REFUSED,
    'generator ended': 'draining',
    'children stop asked': 'running',
    'stop asked': 'stopping',
    abandoned: 'stopping',
    'all ended': REFUSED,
  },
  draining: {
    ready: 'draining',
    'generator ended': REFUSED,
    'children stop asked': 'draining',
    'stop asked': 'stopping',
    abandoned: 'stopping',
    'all ended': REFUSED,
  },
  stopping: {
    ready: 'stopping',
    'generator ended': 'stopping',
    'children stop asked': 'stopping',
    'stop asked': 'stopping',
    abandoned: 'stopping',
    'all ended': 'stopped',
  },
  stopped: {
    ready: REFUSED,
    'generator ended': REFUSED,
    'children stop asked': 'stopped',
    'stop asked': 'stopped',
    abandoned: 'stopped',
    'all ended': REFUSED,
  },
} as const satisfies StateTable<SupervisorState, SupervisorEvent>
