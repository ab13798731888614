import type { Test } from 'tap'
import { findBatch } from '../../../../parser/ledger/counting/batch-row.ts'
import { advanceStaged, beginStaged } from '../../../../parser/ledger/counting/count-staged.ts'
import type { CountOptions } from '../../../../parser/ledger/counting/count-whole.ts'
import { asStaged, type StagedBatch } from '../../../../parser/ledger/counting/signed-chunks.ts'
import type { WindowLimits } from '../../../../parser/ledger/proving/totals-window.ts'
import { type Proof, prove } from '../../../../parser/ledger/proving/verify.ts'
import type { Witness } from '../../../../parser/ledger/schema/witnesses.ts'
import type { DatabaseAddress } from '../../../../parser/ledger/way-in.ts'
import { U64_MAX } from '../../../../shared/limits.ts'
import { countOptionsOf } from '../count-options.ts'
import {
  fileOf,
  type LedgerScene,
  openLedgerScene,
  openSession,
  type Pairs,
  type Server,
} from '../helpers.ts'

export const FIRST: Pairs = [
  [0n, 5n],
  [1n, 0n],
  [2n, 2n ** 63n],
  [7n, 2n ** 53n + 1n],
  [2n ** 63n, 3n],
  [U64_MAX, 2n ** 63n],
]
export const SECOND: Pairs = [
  [2n, 1n],
  [3n, 4n],
  [U64_MAX - 1n, 9n],
  [U64_MAX, 6n],
]

export interface ProofScene extends LedgerScene {
  readonly address: DatabaseAddress
  readonly options: CountOptions
  /** Everything must agree with the verdict of `full`. */
  proved(limits?: Partial<WindowLimits>): Promise<Proof>
  /** Without a look at single consumers. */
  glanced(): Promise<Proof>
  compared(journal: readonly Witness[]): Promise<Proof>
  begin(files: readonly Pairs[]): Promise<StagedBatch>
  advance(batch: StagedBatch, dieAfter: number, pairsMax?: number): Promise<unknown>
}

/** A ledger, batches made by the test's own hands, and a reader of its own that proves. */
export async function proofScene(t: Test, server: Server): Promise<ProofScene> {
  const address = await server.database()
  const base = await openLedgerScene(t, address)
  const options = await countOptionsOf(base)
  const { session, config } = base
  // A reader of its own, as a command has.
  const reader = await openSession(t, address)
  let batches = 0
  return {
    ...base,
    address,
    options,
    proved: (limits = {}) =>
      prove(reader, config, {
        journal: [],
        consumers: {
          differencesMax: 5,
          limits: { rowsMax: 2 ** 20, straysMax: 250_000, ...limits },
        },
      }),
    glanced: () => prove(reader, config, { journal: [], consumers: undefined }),
    compared: journal => prove(reader, config, { journal, consumers: undefined }),
    async begin(files) {
      batches += 1
      const rows = (await base.record(files.map(pairs => fileOf(pairs))))!
      const batch = asStaged({ id: Buffer.alloc(16, batches), files: rows })
      t.equal(await beginStaged(session, batch, true, options), 'begun')
      return batch
    },
    async advance(batch, dieAfter, chunkPairsMax = 2) {
      const position = (await findBatch(session, batch.id, options.names))!
      let chunks = 0
      const onChunk = (): void => {
        chunks += 1
        if (chunks === dieAfter) throw new Error('the process ends')
      }
      return advanceStaged(session, batch, position, {
        ...{ ...options, chunkPairsMax, onChunk },
      })
    },
  }
}
