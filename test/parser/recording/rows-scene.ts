import type { Test } from 'tap'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import type { ReadFile } from '../../../parser/recording/decider.ts'
import { eventually, failureOf } from '../../shared/helpers.ts'
import {
  asTotals,
  batchFor,
  fileOf,
  openLedgerScene,
  type Pairs,
  pairSource,
  type Server,
} from '../ledger/helpers.ts'
import { stagesScene } from './stages-scene.ts'

// A content that has a row in each of its states, ours or another parser's, and what becomes of a file with it.

export const PAIRS: Pairs = [
  [1n, 5n],
  [2n, 6n],
  [3n, 7n],
]
export const SUM = asTotals(PAIRS)
const OTHER = Buffer.alloc(16, 8)
const DYING = pairSource(PAIRS, () => {
  throw new Error('the process ends')
})

/** This parser records; another one, on the same ledger, holds the lease. */
export async function rowsScene(t: Test, server: Server, options: { filesMax?: number } = {}) {
  const address = await server.database()
  const env = { COUNTERSINK_CHUNK_PAIRS_MAX: '2', COUNTERSINK_TAKEOVER_MS: '86400000' }
  const other = await openLedgerScene(t, address, { env, instance: OTHER })
  await other.ledger.open()
  await other.ledger.counter.takeLease()
  const ours = await stagesScene(t, address, {
    ...options,
    env: { COUNTERSINK_TAKEOVER_MS: '400' },
  })
  return {
    ...ours,
    other,
    /** What the other parser does with all that waits. */
    async countAll(): Promise<void> {
      const files = await other.ledger.counter.waiting(99)
      if (files.length === 0) return
      await other.ledger.counter.countStaged({ id: batchFor([]).id, files })
    },
    waiting: (count: number) =>
      eventually(`${count} wait`, () => ours.decider.reason?.startsWith(`${count} wait`)),
  }
}

export type RowsScene = Awaited<ReturnType<typeof rowsScene>>
export type Whose = 'ours' | 'other'

/** Brings the row of a file of ours, or of the same content of another, into each state. */
export const ROWS: Record<
  LedgerFile['state'],
  (s: RowsScene, file: ReadFile, whose: Whose) => Promise<unknown>
> = {
  async staging(s, file, whose) {
    const dying = { ...rowFile(file, whose), sums: DYING }
    await failureOf(recorderOf(s, whose).recorder.record([dying], () => false))
  },
  staged: (s, file, whose) =>
    recorderOf(s, whose).recorder.record([rowFile(file, whose)], () => false),
  async applying(s, file, whose) {
    await ROWS.staged(s, file, whose)
    await s.session.execute("UPDATE countersink_file SET state = 'applying'")
    await s.session.execute('DELETE FROM countersink_todo')
  },
  async applied(s, file, whose) {
    await ROWS.staged(s, file, whose)
    await s.countAll()
  },
  async refused(s, file, whose) {
    await ROWS.staged(s, file, whose)
    await s.session.execute(
      "UPDATE countersink_file SET state = 'refused', reason = 'TOTAL_OVERFLOW: too much'",
    )
    await s.session.execute('DELETE FROM countersink_todo')
  },
  async reverting(s, file, whose) {
    await ROWS.applied(s, file, whose)
    await s.session.execute("UPDATE countersink_file SET state = 'reverting'")
  },
  async reverted(s, file, whose) {
    await ROWS.applied(s, file, whose)
    await s.session.execute(
      "UPDATE countersink_file SET state = 'reverted', reason = 'wrong month'",
    )
  },
  async held(s, file, whose) {
    await ROWS.staged(s, file, whose)
    await s.session.execute("UPDATE countersink_file SET state = 'held', reason = 'words'")
    await s.session.execute('DELETE FROM countersink_todo')
  },
}

function recorderOf(s: RowsScene, whose: Whose) {
  return whose === 'ours' ? s.ledger : s.other.ledger
}

function rowFile({ digest, entry }: ReadFile, whose: Whose) {
  return fileOf(PAIRS, {
    ...{ sha256: digest.sha256, sizeBytes: digest.sizeBytes, name: entry.name },
    workSequence: whose === 'ours' ? entry.sequence : 5,
  })
}

/** In the end; `waits` is what is seen before the other parser counts what it can. */
export interface Fate {
  readonly first: 'waits' | 'settled'
  readonly end: 'applied' | 'duplicate' | 'quarantined' | 'reverted' | 'held'
}

/** The batch in which it was is given up. */
export async function giveBack(s: RowsScene): Promise<void> {
  await s.session.execute("UPDATE countersink_file SET state = 'staged'")
  await s.session.execute(
    "INSERT INTO countersink_todo SELECT 'count', sequence FROM countersink_file",
  )
}

export const waits = (end: Fate['end']): Fate => ({ first: 'waits', end })
export const settled = (end: Fate['end']): Fate => ({ first: 'settled', end })

export const FATES: Record<LedgerFile['state'], Record<Whose, Fate>> = {
  staging: {
    ours: waits('applied'),
    // Once it stands still, it is recorded here, and so is this file.
    other: waits('applied'),
  },
  staged: {
    ours: waits('applied'),
    other: waits('duplicate'),
  },
  applying: {
    ours: waits('applied'),
    other: waits('duplicate'),
  },
  applied: {
    ours: settled('applied'),
    other: settled('duplicate'),
  },
  refused: {
    ours: settled('quarantined'),
    other: waits('applied'),
  },
  reverting: {
    ours: waits('reverted'),
    other: waits('reverted'),
  },
  reverted: {
    ours: settled('reverted'),
    other: settled('reverted'),
  },
  held: {
    ours: settled('held'),
    other: settled('held'),
  },
}
