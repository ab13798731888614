import t from 'tap'
import type { Session } from '../../../parser/ledger/connection.ts'
import {
  changeBatch,
  endBatch,
  findBatch,
  insertBatch,
  insertPostings,
  moveCursor,
  moved,
  takeBack,
} from '../../../parser/ledger/counting/batch-row.ts'
import {
  BATCH_STATES,
  type BatchEvent,
  type BatchState,
  batchWay,
} from '../../../parser/ledger/counting/batch-states.ts'
import { beginStaged } from '../../../parser/ledger/counting/count-staged.ts'
import type { LongCountOptions } from '../../../parser/ledger/counting/count-whole.ts'
import { replan } from '../../../parser/ledger/counting/replan.ts'
import { endRetreat } from '../../../parser/ledger/counting/retreat.ts'
import { asStaged, type StagedBatch } from '../../../parser/ledger/counting/signed-chunks.ts'
import { REFUSED } from '../../../shared/state-table.ts'
import { checkTable } from '../../helpers/state-cells.ts'
import { failureOf } from '../../shared/helpers.ts'
import { countOptionsOf } from './count-options.ts'
import { batchFor, openLedgerScene, startServer } from './helpers.ts'

const server = await startServer(t)
const STEP = { after: null, to: 1n, inputPairs: 1, amount: 5n }

type Subject = StagedBatch

type Act = (session: Session, batch: Subject, options: LongCountOptions) => Promise<unknown>

async function change(
  session: Session,
  { id }: Subject,
  { names }: LongCountOptions,
  event: 'retreat' | 'block' | 'unblock',
): Promise<void> {
  if (!(await changeBatch(session, id, names, event))) throw moved(id, event)
}

/** What makes each event happen. */
const ACTS: Record<BatchEvent, Act> = {
  // What the migration does, as far as the batch's own row goes.
  async inherit(session, { id }, options) {
    await insertBatch(session, { id, kind: 'count', pairs: 1, amount: 5n }, 'begin', options)
    const { to } = batchWay('inherit')
    await session.execute(`UPDATE ${options.names.batch} SET state = '${to}' WHERE id = ?`, [id])
  },
  async replan(session, batch, options) {
    const position = {
      state: 'unrecorded',
      fromId: null,
      cursorId: null,
      pairsApplied: 0n,
    } as const
    if (!(await replan(session, batch, position, options))) {
      throw moved(batch.id, 'replan')
    }
  },
  async begin(session, batch, options) {
    const begun = await beginStaged(session, batch, true, options)
    if (begun !== 'begun') throw new Error(begun)
  },
  countWhole: (session, { id }, options) =>
    insertBatch(session, { id, kind: 'count', pairs: 1, amount: 5n }, 'countWhole', options),
  chunk: (session, { id }, { names }) => moveCursor(session, id, names, STEP),
  async end(session, batch, options) {
    const position = await findBatch(session, batch.id, options.names)
    if (position?.state === 'applying' && position.cursorId === null) {
      await ACTS.chunk(session, batch, options)
    }
    await endBatch(session, batch, options.names)
  },
  retreat: (session, batch, options) => change(session, batch, options, 'retreat'),
  takeBack: (session, { id }, { names }) => takeBack(session, id, names, STEP),
  async retreated(session, batch, options) {
    const position = await findBatch(session, batch.id, options.names)
    if (position?.state === 'retreating') await ACTS.takeBack(session, batch, options)
    await endRetreat(session, batch, [], options)
  },
  block: (session, batch, options) => change(session, batch, options, 'block'),
  unblock: (session, batch, options) => change(session, batch, options, 'unblock'),
}
/** How a batch comes into each state. */
const WAYS: Record<BatchState, readonly BatchEvent[]> = {
  absent: [],
  unrecorded: ['inherit'],
  applying: ['begin'],
  retreating: ['begin', 'chunk', 'retreat'],
  blocked: ['begin', 'chunk', 'retreat', 'block'],
  applied: ['begin', 'end'],
}

t.test('every event in every state leads where the table says, in MariaDB', async t => {
  const scene = await openLedgerScene(t, await server.database())
  const { session } = scene
  const options = await countOptionsOf(scene)
  // Where something is counted there are totals.
  await session.execute('INSERT INTO consumption VALUES (9, 9)')
  let cells = 0
  for (const [state, events] of Object.entries(BATCH_STATES)) {
    for (const [event, next] of Object.entries(events)) {
      const { id, files } = batchFor([[1n, 5n]])
      const batch = asStaged({ id, files: (await scene.record(files))! })
      const stateNow = async () => (await findBatch(session, id, options.names))?.state ?? 'absent'
      for (const before of WAYS[state as BatchState]) await ACTS[before](session, batch, options)
      t.equal(await stateNow(), state)
      const act = ACTS[event as BatchEvent](session, batch, options)
      if (next === REFUSED) await failureOf(act)
      else await act
      t.equal(await stateNow(), next === REFUSED ? state : next, `${state}: ${event}`)
      cells += 1
    }
  }
  t.same(scene.outages, [])
  t.equal(cells, 6 * 11)
})

t.test('a number of postings is as many as were written', async t => {
  const scene = await openLedgerScene(t, await server.database())
  const { names } = await countOptionsOf(scene)
  const files = (await scene.record([...batchFor([]).files, ...batchFor([]).files]))!
  const id = Buffer.alloc(16, 3)
  await insertPostings(
    scene.session,
    names,
    id,
    files.map(({ sequence }) => sequence),
  )
  t.equal(await scene.rows('posting'), 2)
  t.equal((await scene.ledger.filesOf(id)).length, 2)
})

t.test('the table has no hole', async t => checkTable(t, BATCH_STATES, 'absent', ['applied']))
