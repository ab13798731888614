/**
 * What the supervisor keeps for itself: its lock, what it tells of itself, deaths.
 */

export { Deaths, PAUSE_MAX_MS } from './deaths.ts'
export { StateLock } from './state-lock.ts'
export {
  type MariadbReport,
  type ProcessReport,
  type ProcessState,
  readSupervisor,
  type SupervisorState,
  type SupervisorStatus,
} from './supervisor-status.ts'
