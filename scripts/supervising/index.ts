/**
 * Keeps parser and generator alive, watches their health, and ends everything in order.
 */

export { whyNoCommand } from './alert-command.ts'
export { tellOfFailure } from './alerts.ts'
export { outliveTheTerminal, refuseAnotherDatabase } from './before-start.ts'
export { childCommand } from './child-command.ts'
export { type ServiceManager, ServiceNotices, takeServiceManager } from './service-notices.ts'
export { Supervisor } from './supervisor.ts'
