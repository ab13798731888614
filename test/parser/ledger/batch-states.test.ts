import t from 'tap'
import type { Batch } from '../../../parser/ledger/batch.ts'
import {
  blockBatch,
  endBatch,
  findBatch,
  insertBatch,
  moveCursor,
  unblockBatch,
  withdrawBatch,
} from '../../../parser/ledger/batch-row.ts'
import {
  BATCH_STATES,
  type BatchEvent,
  type BatchState,
} from '../../../parser/ledger/batch-states.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { insertFiles } from '../../../parser/ledger/file-rows.ts'
import { type LedgerNames, ledgerNames } from '../../../parser/ledger/schema/tables.ts'
import { SQL_DUPLICATE_KEY, sqlNumber } from '../../../parser/ledger/sql-errors.ts'
import { REFUSED } from '../../../shared/state-table.ts'
import { failureOf } from '../../shared/helpers.ts'
import { batchFor, openLedgerScene, startServer } from './helpers.ts'

const server = await startServer(t)
const instance = Buffer.alloc(16, 7)
const CHUNK = { ids: BigUint64Array.of(1n), amounts: BigUint64Array.of(5n) }

type Act = (session: Session, batch: Batch, names: LedgerNames) => Promise<unknown>

/** What makes each event happen. */
const ACTS: Record<BatchEvent, Act> = {
  async begin(session, batch, names) {
    try {
      await insertBatch(session, batch, { names, instance })
    } catch (error) {
      if (sqlNumber(error) !== SQL_DUPLICATE_KEY) throw error
      return
    }
    await insertFiles(session, batch, { names, instance })
  },
  chunk: (session, batch, names) =>
    moveCursor(session, batch, names, { cursor: null, next: 1n, chunk: CHUNK }),
  async end(session, batch, names) {
    const position = await findBatch(session, batch.id, names)
    if (position?.state === 'applying' && position.cursorId === null) {
      await ACTS.chunk(session, batch, names)
    }
    await endBatch(session, batch, names)
  },
  async withdraw(session, batch, names) {
    if (!(await withdrawBatch(session, batch, names))) throw new Error('not withdrawn')
  },
  block: (session, batch, names) => blockBatch(session, batch.id, names),
  unblock: async (session, batch, names) => {
    await unblockBatch(session, batch, names)
    // What is always done next, in the same transaction.
    await session.execute('START TRANSACTION')
    await ACTS.chunk(session, batch, names).finally(() => session.rollback())
  },
}
/** How a batch comes into each state. */
const WAYS: Record<BatchState, readonly BatchEvent[]> = {
  absent: [],
  applying: ['begin'],
  blocked: ['begin', 'block'],
  applied: ['begin', 'end'],
}

t.test('every event in every state leads where the table says, in MariaDB', async t => {
  const { ledger, session, config } = await openLedgerScene(t, await server.database())
  await ledger.open()
  const names = ledgerNames(config)
  let cells = 0
  for (const [state, events] of Object.entries(BATCH_STATES)) {
    for (const [event, next] of Object.entries(events)) {
      const batch = batchFor([[1n, 5n]])
      const stateNow = async () => (await findBatch(session, batch.id, names))?.state ?? 'absent'
      for (const before of WAYS[state as BatchState]) await ACTS[before](session, batch, names)
      t.equal(await stateNow(), state)
      const act = ACTS[event as BatchEvent](session, batch, names)
      if (next === REFUSED) await failureOf(act)
      else await act
      t.equal(await stateNow(), next === REFUSED ? state : next, `${state}: ${event}`)
      cells += 1
    }
  }
  t.equal(cells, 4 * 6)
})
