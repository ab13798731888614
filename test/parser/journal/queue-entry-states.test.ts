import t from 'tap'
import type { Journal } from '../../../parser/journal/journal.ts'
import {
  type EntryEvent,
  type EntryState,
  QUEUE_ENTRY_STATES,
} from '../../../parser/journal/queue-entry-states.ts'
import { REFUSED } from '../../../shared/state-table.ts'
import { digestOf, digestOne, entryOf, openJournal, settlementOf } from './helpers.ts'

const checkpoint = {
  ...{ positionBytes: 4, prefixSha256: new Uint8Array(32), resumeBytes: 4, lines: 1, amount: 2n },
  runs: [],
}

/** What the parser does to make each event happen. */
const ACTS: Record<EntryEvent, (journal: Journal, sequence: number) => void> = {
  claim: (journal, sequence) => journal.claim([entryOf(sequence)]),
  checkpoint: (journal, sequence) => journal.checkpoint(sequence, checkpoint),
  digest: (journal, sequence) => digestOne(journal, entryOf(sequence), digestOf('x'), 'x.run'),
  undigest: (journal, sequence) => journal.undigest(entryOf(sequence, { digest: digestOf('x') })),
  settle: (journal, sequence) => journal.settle([settlementOf(entryOf(sequence), 'duplicate')]),
  move: (journal, sequence) => {
    journal.moved(sequence)
    // It is durable with the next commit.
    journal.bindLedger('')
  },
}
/** How an entry comes into each state. */
const WAYS: Record<EntryState, readonly EntryEvent[]> = {
  absent: [],
  claimed: ['claim'],
  digested: ['claim', 'digest'],
  settling: ['claim', 'digest', 'settle'],
}

t.test('every event in every state leads where the table says, in the journal', async t => {
  let cells = 0
  for (const [state, events] of Object.entries(QUEUE_ENTRY_STATES)) {
    for (const [event, next] of Object.entries(events)) {
      const journal = openJournal(t)
      const stageNow = () => journal.queued(1)?.stage ?? 'absent'
      for (const before of WAYS[state as EntryState]) ACTS[before](journal, 1)
      t.equal(stageNow(), state)
      const act = (): void => ACTS[event as EntryEvent](journal, 1)
      if (next !== REFUSED) act()
      else t.throws(act, { code: 'ERR_ASSERTION', message: `queue entry 1 is ${state}` })
      t.equal(stageNow(), next === REFUSED ? state : next, `${state}: ${event}`)
      cells += 1
    }
  }
  t.equal(cells, 4 * 6)
})
