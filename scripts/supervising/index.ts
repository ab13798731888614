/**
 * Keeps parser and generator alive, watches their health, and ends everything in order.
 */

export { childCommand } from './child-command.ts'
export { Supervisor } from './supervisor.ts'
