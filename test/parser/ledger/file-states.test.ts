import t from 'tap'
import type { BatchFile } from '../../../parser/ledger/batch.ts'
import type { Session } from '../../../parser/ledger/connection.ts'
import { endBatch, moveCursor, takeBack } from '../../../parser/ledger/counting/batch-row.ts'
import { beginStaged } from '../../../parser/ledger/counting/count-staged.ts'
import { countWhole, type LongCountOptions } from '../../../parser/ledger/counting/count-whole.ts'
import {
  beginRetreat,
  endRetreat,
  type Guilty,
  takeOffTheList,
} from '../../../parser/ledger/counting/retreat.ts'
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
    const batch = { id, files: [await rowOf(hands, file)] }
    return beginStaged(hands.session, batch, true, hands.options)
  },
  async end({ session, options: { names } }, { id }) {
    await moveCursor(session, id, names, STEP)
    await endBatch(session, id, names, 1)
  },
  giveBack: (hands, subject) => retreat(hands, subject, []),
  refuse: (hands, subject) => blame(hands, subject, 'TOTAL_REFUSED: words'),
  unrecord: (hands, subject) => blame(hands, subject, undefined),
  async offerAgain(hands, { file }) {
    const { names, instance } = hands.options
    const row = await rowOf(hands, file)
    const times = { claimedAtMs: 5_000, digestedAtMs: 6_000 }
    const offer = { row, name: 'again', workSequence: 78, ...times }
    await offerAgain(hands.session, names, instance, offer)
  },
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
  await endRetreat(session, { id, files: [await rowOf(hands, file)] }, guilty, options)
}

/** How a file comes into each state. */
const WAYS: Record<FileState, readonly FileEvent[]> = {
  absent: [],
  staging: ['claim'],
  staged: ['claim', 'stage'],
  applying: ['claim', 'stage', 'begin'],
  applied: ['countWhole'],
  refused: ['claim', 'stage', 'refuse'],
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
      t.equal(await scene.rows('todo'), waits ? 1 : 0, cell)
      cells += 1
    }
  }
  t.equal(cells, 6 * 11)
})

/** A batch that has begun with the file is gone on with; else it is another one. */
function idOf(state: string, event: string, { id }: Subject): Buffer {
  return state === 'applying' && event !== 'begin' ? id : Buffer.alloc(16, `${event}${state}`)
}

t.test('the table has no hole', async t => checkTable(t, FILE_STATES, 'absent', ['applied']))
