/**
 * Whether files, postings and batches, each table counted by itself, agree: in one pass over each, of
 * which those over postings read an index alone. To hold each file against its posting and its batch is
 * to look for a million rows one by one, which takes ten times as long.
 *
 * So this finds whatever was lost, added or changed, but not two changes that make up for each other, as
 * of two files that have changed batches. Whoever wants every consumer proved asks for each by name.
 */

import type { Session } from '../connection.ts'
import type { LedgerNames } from '../schema/tables.ts'

export interface RollCall {
  /** That are counted. */
  readonly files: number
  /** Bad lines of these that were put aside. */
  readonly rejectedLines: number
  /** false: something is wrong, and is to be looked for by name. */
  readonly isSound: boolean
}

export async function takeRollCall(session: Session, n: LedgerNames): Promise<RollCall> {
  const [row] = await session.query<Record<'files' | 'rejectedLines' | 'isSound', bigint | string>>(
    `SELECT f.applied AS files, f.rejected AS rejectedLines,
            f.postings = p.postings AND f.fingerprint = p.fingerprint AND f.amount = b.amount
              AND p.batches = b.batches AND p.batchFingerprint = b.fingerprint
              AND f.moving = o.files AND o.moving = o.files AND b.wrong = 0
              AND f.staged = d.staged AS isSound
       FROM (SELECT COUNT(IF(state = 'applied' AND sign = 1, 1, NULL)) AS applied,
                    COALESCE(SUM(IF(state = 'applied' AND sign = 1, rejected_lines, 0)), 0) AS rejected,
                    COUNT(IF(state IN ('applying', 'reverting'), 1, NULL)) AS moving,
                    COUNT(IF(state = 'staged' AND supersedes IS NULL, 1, NULL)) AS staged,
                    COALESCE(SUM(postings), 0) AS postings,
                    BIT_XOR(IF(state IN ('applying', 'applied'), CRC32(sequence), 0)) AS fingerprint,
                    COALESCE(SUM(IF(state IN ('applying', 'applied'), sign * amount, 0)), 0) AS amount
               FROM ${n.file}) f,
            (SELECT COALESCE(SUM(postings), 0) AS postings, BIT_XOR(fingerprint) AS fingerprint,
                    COUNT(*) AS batches, BIT_XOR(CRC32(id)) AS batchFingerprint
               FROM (SELECT COUNT(*) AS postings, BIT_XOR(CRC32(file_sequence)) AS fingerprint,
                            batch_id AS id
                       FROM ${n.posting} GROUP BY batch_id) AS members) p,
            (SELECT COUNT(*) AS batches, BIT_XOR(CRC32(id)) AS fingerprint,
                    COALESCE(SUM(amount_planned), 0) AS amount,
                    COUNT(IF(state = 'applied' AND (pairs_applied <> pairs_planned
                      OR amount_applied <> amount_planned), 1, NULL)) AS wrong
               FROM ${n.batch}) b,
            (SELECT COUNT(*) AS staged FROM ${n.todo} t JOIN ${n.file} s ON s.sequence = t.file_sequence
              WHERE t.kind = 'count' AND s.state = 'staged' AND s.supersedes IS NULL) d,
            (SELECT COUNT(*) AS files, COUNT(IF(f.state IN ('applying', 'reverting'), 1, NULL)) AS moving
               FROM ${n.batch} b JOIN ${n.posting} p ON p.batch_id = b.id
               JOIN ${n.file} f ON f.sequence = p.file_sequence AND f.postings = p.n
              WHERE b.state <> 'applied') o`,
  )
  return {
    ...{ files: Number(row?.files ?? 0), rejectedLines: Number(row?.rejectedLines ?? 0) },
    isSound: Number(row?.isSound) === 1,
  }
}
