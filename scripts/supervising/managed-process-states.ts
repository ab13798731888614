/**
 * The states of a child of the supervisor, and what leads from one to another.
 *
 * - **starting**: its first process was spawned, or is about to be, and has not answered yet.
 * - **running**: it answers.
 * - **restarting**: it died, and comes back after a pause; or it is back and has not answered yet.
 * - **stopping**: it was asked to end for good, and has a process that has not ended.
 * - **stopped**: it has none, and will have none. **failed**: the same, and it was not meant.
 *
 * What happens:
 *
 * - `spawned`: a process of it was started. The pause before that ends with a stop.
 * - `answered`: its process answered a ping; one that is being stopped may still do so.
 * - `ended`: its process ended with status 0, or it is to stop and has none.
 * - `died`: it ended otherwise, or could not be started, and another start may help. That it could not
 *   be started may become known after it was stopped.
 * - `died for good`: the same, and another start would be no different.
 * - `stop asked`: it is to end for good, in order or at once.
 */

import { REFUSED, type StateTable } from '../../shared/state-table.ts'
import type { ProcessState } from '../state/index.ts'

export type ProcessEvent =
  | 'spawned'
  | 'answered'
  | 'ended'
  | 'died'
  | 'died for good'
  | 'stop asked'

export const PROCESS_STATES = {
  starting: {
    spawned: 'starting',
    answered: 'running',
    ended: 'stopped',
    died: 'restarting',
    'died for good': 'failed',
    'stop asked': 'stopping',
  },
  running: {
    spawned: REFUSED,
    answered: 'running',
    ended: 'stopped',
    died: 'restarting',
    'died for good': 'failed',
    'stop asked': 'stopping',
  },
  restarting: {
    spawned: 'restarting',
    answered: 'running',
    ended: 'stopped',
    died: 'restarting',
    'died for good': 'failed',
    'stop asked': 'stopping',
  },
  stopping: {
    spawned: REFUSED,
    answered: 'stopping',
    ended: 'stopped',
    died: 'stopped',
    'died for good': 'stopped',
    'stop asked': 'stopping',
  },
  stopped: {
    spawned: REFUSED,
    answered: REFUSED,
    ended: REFUSED,
    died: 'stopped',
    'died for good': 'stopped',
    'stop asked': 'stopped',
  },
  failed: {
    spawned: REFUSED,
    answered: REFUSED,
    ended: REFUSED,
    died: REFUSED,
    'died for good': REFUSED,
    'stop asked': 'failed',
  },
} as const satisfies StateTable<ProcessState, ProcessEvent>
