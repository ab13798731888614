/**
 * Named places where a test can end the process as a power switch would, one before and one after
 * each durable step of ARCHITECTURE.md's crash table. Inert unless armed:
 *
 * - `COUNTERSINK_CRASH_AT=name` or `name:n` kills this process by SIGKILL at the n-th passing.
 * - `COUNTERSINK_CRASH_MARKS=directory` makes it happen once for all processes that share the
 *   directory: the point leaves a file of its name there, and where that stands already it is inert.
 */

import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'

export const CRASH_POINTS = [
  'G1-before-tmp-synced',
  'G1-tmp-synced',
  'G1-state-written',
  'G2-manifest-renamed',
  'G3-data-renamed',
  'G3-announced',
  'P1-manifest-moved',
  'P1-data-moved',
  'P1-claim-synced',
  'P1-claim-journalled',
  'P2-before-run-written',
  'P2-run-synced',
  'P2-run-renamed',
  'P2-runs-compacted',
  'P2-reject-draft-begun',
  'P2-checkpoint-before',
  'P2-checkpoint-committed',
  'P3-final-run-sealed',
  'P3-before-digest-journalled',
  'P3-digest-journalled',
  'O1-before-packed',
  'O1-packed',
  'O2-taken',
  'S1-claimed',
  'S2-portion-recorded',
  'S3-before-commit',
  'S3-staged',
  'P4-before-commit',
  'P4-batch-begun',
  'P5-before-commit',
  'P5-chunk-committed',
  'P6-before-commit',
  'P6-batch-committed',
  'B1-retreating',
  'B2-chunk-taken-back',
  'B3-before-commit',
  'B3-retreated',
  'E1-before-commit',
  'E1-begun',
  'E2-before-commit',
  'E2-chunk-emptied',
  'C1-portion-packed',
  'C1-packed',
  'C2-before-commit',
  'C2-closed',
  'C3-portion-removed',
  'C3-removed',
  'U1-before-commit',
  'U1-begun',
  'U2-before-commit',
  'U2-chunk-rolled',
  'U3-rolled',
  'U4-kept-from-raised',
  'U5-partition-dropped',
  'U6-zone-set',
  'U7-before-commit',
  'U7-left-out',
  'P7-sidecar-written',
  'P7-rejects-published',
  'P7-before-journalled',
  'P7-done-journalled',
  'P8-day-made',
  'P8-linked',
  'P8-moved',
  'P8-move-synced',
  'P8-manifest-removed',
  'F1-moved',
  'F2-history-changed',
  'M1-replanned',
  'R1-manifest-written',
  'R1-manifest-linked',
  'R2-data-linked',
  'R2-data-synced',
  'R3-archive-left',
  'R3-archive-synced',
  'R4-ledger-remembered',
  'R5-journal-put-aside',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

const armed = parseArmed(process.env.COUNTERSINK_CRASH_AT)
let passings = 0

/** Ends the process here and now when this point is armed; otherwise does nothing. */
export function crashPoint(name: CrashPoint): void {
  if (armed === undefined || armed.name !== name) return
  passings += 1
  if (passings < armed.count) return
  const marks = process.env.COUNTERSINK_CRASH_MARKS
  if (marks !== undefined) {
    const mark = join(marks, name)
    if (existsSync(mark)) return
    closeSync(openSync(mark, 'wx'))
  }
  process.kill(process.pid, 'SIGKILL')
  // The signal is delivered on return to user mode at the latest; nothing may run until then.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function parseArmed(text: string | undefined): { name: string; count: number } | undefined {
  if (text === undefined || text === '') return undefined
  const [name = '', count = '1'] = text.split(':')
  if (!(CRASH_POINTS as readonly string[]).includes(name) || !/^[1-9]\d*$/.test(count)) {
    throw new Error(`COUNTERSINK_CRASH_AT must be one of ${CRASH_POINTS.join(', ')}, got ${text}`)
  }
  return { name, count: Number(count) }
}
