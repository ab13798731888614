import t from 'tap'
import { PresenceGuess, type RowsFound } from '../../../parser/ledger/adding/presence-guess.ts'

const PIECES = Array.from({ length: 40 }, (_, i) => i)

/** Of so many pieces of one batch, which are tried, when each trial finds this. */
function tried(guess: PresenceGuess, pieces: readonly number[], rows: RowsFound): number[] {
  guess.startChunk(0, pieces[0]!)
  return pieces.filter(() => {
    const isTried = guess.expectsRows()
    if (isTried) guess.found(rows)
    return isTried
  })
}

t.test('where most rows are there, all are updated', async t => {
  const guess = new PresenceGuess()
  for (let i = 0; i < 3; i += 1) t.same(tried(guess, PIECES, 'most'), PIECES)
})

t.test('behind few rows fewer and fewer pieces are tried, in one batch', async t => {
  const guess = new PresenceGuess()
  t.same(tried(guess, PIECES, 'few'), [0, 2, 5, 10, 19, 36])
  t.same(tried(guess, PIECES, 'most'), PIECES, 'the next batch finds them')
  t.same(tried(guess, PIECES, 'few'), [0, 2, 5, 10, 19, 36])
})

t.test('rows that are found again end it', async t => {
  const guess = new PresenceGuess()
  t.same(tried(guess, PIECES.slice(0, 12), 'few'), [0, 2, 5, 10])
  // A later chunk of the same batch, whose second piece is one too many still.
  t.same(tried(guess, PIECES.slice(12), 'most'), PIECES.slice(19))
})
