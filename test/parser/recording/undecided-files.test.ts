import t from 'tap'
import type { LedgerFile } from '../../../parser/ledger/file-rows.ts'
import { type Repeat, UndecidedFiles } from '../../../parser/recording/undecided-files.ts'
import { digestOf, entryOf } from '../journal/helpers.ts'

function repeat(sequence: number): Repeat {
  return { kind: 'duplicate', entry: entryOf(sequence), digest: digestOf(`f${sequence}`) }
}

function staging(attempt: number, recordedTo: bigint | null): LedgerFile {
  return { sequence: 7n, attempt, recordedTo, state: 'staging' } as LedgerFile
}

t.test('in turn, and no more than may wait', async t => {
  const undecided = new UndecidedFiles(3)
  t.match(undecided, { isEmpty: true, isFull: false, reason: undefined })
  for (const sequence of [1, 2, 3]) undecided.add(repeat(sequence))
  t.match(undecided, { isEmpty: false, isFull: true, reason: /^3 wait until/ })
  const sequences = undecided.take(2).map(({ entry }) => entry.sequence)
  t.same(sequences, [1, 2])
  t.match(undecided, { isFull: false, reason: /^1 wait/ })
})

t.test('a recording is stalled once nothing of it has moved for so long', async t => {
  const undecided = new UndecidedFiles(3)
  undecided.add(repeat(1))
  t.notOk(undecided.isStalled(staging(0, null), 0), 'it is seen for the first time')
  t.ok(undecided.isStalled(staging(0, null), 0))
  t.notOk(undecided.isStalled(staging(0, null), 60_000))
  t.notOk(undecided.isStalled(staging(0, 5n), 0), 'a portion more')
  t.notOk(undecided.isStalled(staging(1, 5n), 0), 'another attempt')
  t.ok(undecided.isStalled(staging(1, 5n), 0))
  undecided.forget(staging(1, 5n))
  t.notOk(undecided.isStalled(staging(1, 5n), 0), 'nothing is kept of one that has ended')
})
