import { boundedReason, type Outcome } from '../../shared/protocol.ts'
import { type Growth, isKeptAs } from '../facts.ts'
import type { Session } from './connection.ts'
import { type LedgerNames, sqlTime } from './schema/tables.ts'

/** A file that was not counted, and why. */
export interface Sighting {
  readonly workSequence: number
  readonly sha256: Uint8Array | undefined
  readonly name: string
  readonly outcome: Exclude<Outcome, 'applied'>
  readonly reason: string
  readonly seenAtMs: number
}

/** The same as it is read back. */
export interface KeptSighting {
  readonly sha256: Buffer | null
  readonly name: string
  readonly outcome: 'duplicate' | 'quarantined' | 'reverted' | 'held'
  readonly reason: string
}

/** Once per work file, however often it is called. Of one that is counted after all it writes nothing. */
export async function writeSighting(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  sighting: Sighting,
): Promise<void> {
  const { workSequence, name, outcome } = sighting
  const sha256 = sighting.sha256 === undefined ? null : Buffer.from(sighting.sha256)
  await session.execute(
    `INSERT INTO ${names.sighting}
       (instance, work_sequence, sha256, name, outcome, reason, seen_at)
     SELECT ?, ?, ?, ?, ?, ?, ? FROM DUAL
      WHERE NOT EXISTS (SELECT 1 FROM ${names.file}
                         WHERE sha256 = ? AND instance = ? AND work_sequence = ?
                           AND state = 'applied')
     ON DUPLICATE KEY UPDATE reason = VALUES(reason)`,
    [
      ...[instance, workSequence, sha256, name, outcome],
      ...[boundedReason(sighting.reason), sqlTime(sighting.seenAtMs)],
      ...[sha256, instance, workSequence],
    ],
  )
}

/** What was written down of a work file that was not counted. */
export async function readSighting(
  session: Session,
  names: LedgerNames,
  instance: Uint8Array,
  { name, workSequence }: Pick<Sighting, 'name' | 'workSequence'>,
): Promise<KeptSighting | undefined> {
  const rows = await session.query<KeptSighting>(
    `SELECT sha256, name, outcome, reason FROM ${names.sighting}
      WHERE instance = ? AND work_sequence = ?
        AND outcome IN ('duplicate', 'quarantined', 'reverted', 'held')`,
    [instance, workSequence],
  )
  return rows.find(row => isKeptAs(name, row))
}

/** Beside the content's row; what was found last stands there. */
export async function writeGrowth(
  session: Session,
  names: LedgerNames,
  { name, sha256, reason, seenAtMs }: Growth,
): Promise<void> {
  await session.execute(
    `INSERT INTO ${names.sighting}
       (instance, work_sequence, sha256, name, outcome, reason, seen_at)
     SELECT instance, work_sequence, sha256, ?, 'grew', ?, ? FROM ${names.file}
      WHERE sha256 = ?
     ON DUPLICATE KEY UPDATE
       name = VALUES(name), outcome = VALUES(outcome), reason = VALUES(reason),
       seen_at = VALUES(seen_at)`,
    [name, boundedReason(reason), sqlTime(seenAtMs), Buffer.from(sha256)],
  )
}
