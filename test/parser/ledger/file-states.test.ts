import t from 'tap'
import { askFor, orderOf } from '../../../parser/ledger/asking/orders.ts'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { endBatch, moveCursor, takeBack } from '../../../parser/ledger/counting/batch-row.ts'
import { settleOrder } from '../../../parser/ledger/counting/carry-out.ts'
import { beginStaged } from '../../../parser/ledger/counting/count-staged.ts'
import { countWhole, type LongCountOptions } from '../../../parser/ledger/counting/count-whole.ts'
import {
  beginRetreat,
  endRetreat,
  type Guilty,
  takeOffTheList,
} from '../../../parser/ledger/counting/retreat.ts'
import { asStaged, type StagedBatch } from '../../../parser/ledger/counting/signed-chunks.ts'
import { type LedgerFile, offerAgain } from '../../../parser/ledger/file-rows.ts'
import { FILE_STATES, type FileEvent, type FileState } from '../../../parser/ledger/file-states.ts'
import { recordOne, recordTogether } from '../../../parser/ledger/recording/record.ts'
import { REFUSED } from '../../../shared/state-table.ts'
import { checkTable } from '../../helpers/state-cells.ts'
import { failureOf } from '../../shared/helpers.ts'
import { countOptionsOf } from './count-options.ts'
import { batchOf, fileOf, openLedgerScene, type Pairs, pairSource, startServer } from './helpers.ts'

const server = await startServer(t)
const PAIRS: Pairs = [[1n, 5n]]
const STEP = { after: null, to: 1n, inputPairs: 1, amount: 5n }
const STEP_BACK = { ...STEP, amount: -5n }

interface Subject {
  readonly id: Buffer
  readonly file: BatchFile
}

interface Hands {
  readonly session: Session
  readonly options: LongCountOptions
  row(file: BatchFile): Promise<LedgerFile | undefined>
}

/** Sums that end before their first pair, as if their process had. */
const DYING = pairSource(PAIRS, () => {
  throw new Error('the process ends')
})

async function rowOf(hands: Hands, file: BatchFile): Promise<LedgerFile> {
  const row = await hands.row(file)
  if (row === undefined) throw new Error('it has no row')
  return row
}

/** Each by another work file. */
let claims = 0

/** What makes each event happen; what may not happen fails, or changes nothing. */
const ACTS: Record<FileEvent, (hands: Hands, subject: Subject) => Promise<unknown>> = {
  claim({ session, options }, { file }) {
    claims += 1
    const claiming = { ...file, sums: DYING, workSequence: claims }
    return failureOf(record(session, options, claiming, false))
  },
  async takeOver(hands, { file }) {
    const { session, options } = hands
    await rowOf(hands, file)
    await failureOf(record(session, options, { ...file, sums: DYING, workSequence: 77 }, true))
  },
  async stage(hands, { file }) {
    await rowOf(hands, file)
    await record(hands.session, hands.options, file, true)
  },
  recordWhole: ({ session, options }, { file }) => recordTogether(session, [file], options),
  countWhole: ({ session, options }, { id, file }) =>
    countWhole(session, { ...batchOf([file], file.sums), id }, false, options),
  async begin(hands, { id, file }) {
    const batch = asStaged({ id, files: [await rowOf(hands, file)] })
    return beginStaged(hands.session, batch, true, hands.options)
  },
  async end(hands, { id, file }) {
    const { session, options } = hands
    const batch = asStaged({ id, files: [await rowOf(hands, file)] })
    await moveCursor(session, id, options.names, STEP)
    await endBatch(session, batch, options.names)
  },
  giveBack: (hands, subject) => retreat(hands, subject, []),
  refuse: (hands, subject) => blame(hands, subject, 'TOTAL_REFUSED: words'),
  unrecord: (hands, subject) => blame(hands, subject, undefined),
  async hold(hands, { file }) {
    await rowOf(hands, file)
    await record(hands.session, hands.options, { ...file, heldBecause: 'words' }, true)
  },
  async revert(hands, subject) {
    return beginStaged(hands.session, await revertOf(hands, subject), true, hands.options)
  },
  async endRevert(hands, subject) {
    const { session, options } = hands
    await moveCursor(session, backId(subject), options.names, STEP_BACK)
    await endBatch(session, await revertOf(hands, subject), options.names)
  },
  async keep(hands, subject) {
    const { session, options } = hands
    await moveCursor(session, backId(subject), options.names, STEP_BACK)
    await beginRetreat(session, backId(subject), options)
    await takeBack(session, backId(subject), options.names, STEP_BACK)
    await endRetreat(session, await revertOf(hands, subject), [], options)
  },
  redo: (hands, subject) => order(hands, subject, 'redo'),
  release: (hands, subject) => order(hands, subject, 'release'),
  offerAgain: (hands, subject) => offer(hands, subject, undefined),
  holdAgain: (hands, subject) => offer(hands, subject, 'words'),
}

async function offer(hands: Hands, { file }: Subject, heldBecause: string | undefined) {
  const { names, instance } = hands.options
  const row = await rowOf(hands, file)
  const times = { claimedAtMs: 5_000, digestedAtMs: 6_000 }
  const again = { row, name: 'again', workSequence: 78, heldBecause, ...times }
  await offerAgain(hands.session, names, instance, again)
}

function record(
  session: Session,
  options: LongCountOptions,
  file: BatchFile,
  mayTakeOver: boolean,
): Promise<unknown> {
  return recordOne(session, file, () => mayTakeOver, options)
}

async function blame(hands: Hands, subject: Subject, reason: string | undefined): Promise<void> {
  const row = await rowOf(hands, subject.file)
  if (row.state === 'held' && reason !== undefined) return order(hands, subject, 'refuse')
  const guilty = { sequence: row.sequence, reason }
  if (row.state === 'applying') return retreat(hands, subject, [guilty])
  return takeOffTheList(hands.session, guilty, hands.options)
}

async function retreat(
  hands: Hands,
  { id, file }: Subject,
  guilty: readonly Guilty[],
): Promise<void> {
  const { session, options } = hands
  await moveCursor(session, id, options.names, STEP)
  await beginRetreat(session, id, options)
  await takeBack(session, id, options.names, STEP)
  await endRetreat(session, asStaged({ id, files: [await rowOf(hands, file)] }), guilty, options)
}

/** A batch of its own. */
function backId({ id }: Pick<Subject, 'id'>): Buffer {
  return Buffer.from(id.map(byte => byte ^ 0xff))
}

async function revertOf(hands: Hands, { id, file }: Subject): Promise<StagedBatch> {
  return {
    id: backId({ id }),
    kind: 'correct',
    files: [{ ...(await rowOf(hands, file)), isBack: true }],
  }
}

/** As whoever counts carries it out. */
async function order(
  hands: Hands,
  { file }: Subject,
  kind: 'redo' | 'release' | 'refuse',
): Promise<void> {
  const { session, options } = hands
  const row = await rowOf(hands, file)
  const request = orderOf(kind, options.uuid, row, 'words')
  await askFor(session, options.names, request)
  const asked = {
    ...request,
    kind,
    old: row.sequence,
    new: null,
    beforeAt: null,
    answer: null,
    askedAt: '',
  }
  const plan = { kind, file: row }
  if (!(await settleOrder(session, asked, plan, options))) throw new Error('nothing has changed')
}

/** How a file comes into each state. */
const WAYS: Record<FileState, readonly FileEvent[]> = {
  absent: [],
  staging: ['claim'],
  staged: ['claim', 'stage'],
  applying: ['claim', 'stage', 'begin'],
  applied: ['countWhole'],
  refused: ['claim', 'stage', 'refuse'],
  reverting: ['claim', 'stage', 'begin', 'end', 'revert'],
  reverted: ['claim', 'stage', 'begin', 'end', 'revert', 'endRevert'],
  held: ['claim', 'hold'],
}
/** What waits to be counted is on the list, and nothing else. */
const WAITS: readonly FileState[] = ['staged']

t.test('every event in every state leads where the table says, in MariaDB', async t => {
  const scene = await openLedgerScene(t, await server.database())
  const { session, ledger } = scene
  const options = await countOptionsOf(scene)
  await session.execute('INSERT INTO consumption VALUES (9, 9)')
  const hands: Hands = { session, options, row: file => ledger.find(file.sha256) }
  let cells = 0
  for (const [state, events] of Object.entries(FILE_STATES)) {
    for (const [event, next] of Object.entries(events)) {
      await session.execute('DELETE FROM countersink_todo')
      const file = fileOf(PAIRS, { workSequence: 500 + cells })
      const subject = { id: Buffer.alloc(16, `${state}${event}`), file }
      const stateNow = async () => (await ledger.find(file.sha256))?.state ?? 'absent'
      for (const before of WAYS[state as FileState]) await ACTS[before](hands, subject)
      t.equal(await stateNow(), state)
      const was = await ledger.find(file.sha256)
      const act = ACTS[event as FileEvent](hands, { ...subject, id: idOf(state, event, subject) })
      await act.catch(error => {
        if (next !== REFUSED) throw error
      })
      if (session.isUsable) await session.rollback()
      const cell = `${state}: ${event}`
      t.equal(await stateNow(), next === REFUSED ? state : next, cell)
      if (next === REFUSED) t.same(await ledger.find(file.sha256), was, 'nothing has changed')
      const waits = WAITS.includes((await stateNow()) as FileState)
      const waiting = await session.query("SELECT 1 FROM countersink_todo WHERE kind = 'count'")
      t.equal(waiting.length, waits ? 1 : 0, cell)
      cells += 1
    }
  }
  t.equal(cells, 9 * 18)
})

/** A batch that has begun with the file is gone on with; else it is another one. */
function idOf(state: string, event: string, { id }: Subject): Buffer {
  const isOpen = state === 'applying' || state === 'reverting'
  return isOpen && event !== 'begin' && event !== 'revert'
    ? id
    : Buffer.alloc(16, `${event}${state}`)
}

t.test('the table has no hole', async t => checkTable(t, FILE_STATES, 'absent', []))
