import { createHash } from 'node:crypto'

/**
 * What the blocks of an hour have in place of a content's hash.
 *
 * @param periodStart in UTC, as `2026-01-31 23:00:00`.
 */
export function hourSeed(periodStart: string): Buffer {
  return createHash('sha256').update(`countersink hour ${periodStart}`).digest()
}
