import t from 'tap'
import { PresenceGuess, type RowsFound } from '../../../parser/ledger/presence.ts'

/** Of so many pieces of one batch, which are tried, when each trial finds this. */
function tried(guess: PresenceGuess, ids: readonly number[], rows: RowsFound): number[] {
  guess.startChunk(0, ids[0]!)
  return ids.filter(id => {
    const isTried = guess.expectsRows(0, id)
    if (isTried) guess.found(0, id, rows)
    return isTried
  })
}

const PIECES = Array.from({ length: 40 }, (_, i) => i * 10_000)

t.test('rows that are there are updated', async t => {
  const guess = new PresenceGuess()
  for (let i = 0; i < 3; i += 1) t.same(tried(guess, PIECES, 'all'), PIECES)
})

t.test('behind rows that are not there fewer and fewer are tried, in one batch', async t => {
  const guess = new PresenceGuess()
  const indexes = tried(guess, PIECES, 'none').map(id => id / 10_000)
  t.same(indexes, [0, 2, 5, 10, 19, 36])
  t.same(tried(guess, PIECES, 'all'), PIECES, 'the next batch finds them')
})

t.test('a range in which rows are missing again and again is left alone for longer', async t => {
  const guess = new PresenceGuess()
  const batches: number[] = []
  for (let batch = 0; batch < 80; batch += 1) {
    if (tried(guess, [7_000], 'some').length > 0) batches.push(batch)
  }
  t.same(batches, [0, 1, 3, 6, 11, 20, 37, 54, 71])
  for (let batch = 0; batch < 20; batch += 1) tried(guess, [7_000], 'all')
  t.same(tried(guess, [7_000], 'all'), [7_000])
  t.same(tried(guess, [7_000], 'some'), [7_000])
  t.same(tried(guess, [7_000], 'all'), [7_000], 'once is forgiven')
  t.same(tried(guess, PIECES.slice(10), 'all'), PIECES.slice(10), 'other ranges are not meant')
})
