import type { Health } from '../../shared/protocol.ts'

/**
 * Why a process that answers does not do its work now; undefined when it does. A generator that waits
 * for the parser or the disk is at work.
 */
export function whyNotReady(health: Health): string | undefined {
  const because = health.reason === undefined ? '' : `: ${health.reason}`
  if (health.role === 'generator') return health.state === 'stopping' ? 'stopping' : undefined
  if (health.role === 'serving') {
    return health.state === 'serving' ? undefined : `${health.state}${because}`
  }
  if (health.database !== 'ready' && health.state !== 'stopping') {
    return `${health.state}, MariaDB is ${health.database}: ${health.databaseReason ?? 'it does not say why'}`
  }
  return health.state === 'running' ? undefined : `${health.state}${because}`
}
