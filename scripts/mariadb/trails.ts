import { type JournalTrails, journalTrails, readJournal } from '../../parser/journal/index.ts'
import {
  findTrails,
  isMissingTable,
  type LedgerNames,
  type Session,
  wholeTrail,
} from '../../parser/ledger/index.ts'
import { type TrailLedger, trailAnswer } from '../../parser/trails.ts'
import { hasCode, toError } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { TrailAnswer, TrailQuestion } from '../../shared/protocol.ts'
import { type Asking, AT_TERMINAL, withAnswers } from '../terminal/index.ts'
import { askLedger } from './ledger-at-rest.ts'

/**
 * What became of a content, or of the files of a name: by the parser, or else its journal and the
 * ledger; by the ledger alone where there is no journal, or a parser keeps it and does not answer.
 */
export async function findTrail(
  paths: StatePaths,
  question: TrailQuestion,
  asking = AT_TERMINAL,
): Promise<TrailAnswer> {
  const fromJournal: TrailJournal = async (...which) => {
    const read = readJournal(paths.journal, view => toEnd(journalTrails(view, ...which)))
    return (await read) ?? NO_JOURNAL
  }
  try {
    return await withAnswers(
      paths,
      async (ask, from) =>
        from === 'parser' ? ask(question) : askForTrail(paths, question, fromJournal, asking),
      undefined,
      asking,
    )
  } catch (error) {
    if (!hasCode(error, 'JOURNAL_IN_USE', 'STOPPED')) throw error
    const answer = await askForTrail(paths, question, async () => NO_JOURNAL, asking)
    if (answer.trail === undefined && answer.several === undefined) throw error
    const why = hasCode(error, 'STOPPED') ? 'there is no journal' : toError(error).message
    asking.aside(`${why}; this is what MariaDB's ledger says`)
    return answer
  }
}

const NO_JOURNAL: JournalTrails = { queued: [], settled: new Map(), named: [] }

function toEnd<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** What a journal has of these contents. */
type TrailJournal = (question: TrailQuestion, contents: readonly string[]) => Promise<JournalTrails>

/** What became of a content, or of the files of a name, from the ledger and this journal. */
async function askForTrail(
  paths: StatePaths,
  question: TrailQuestion,
  journal: TrailJournal,
  asking: Asking,
): Promise<TrailAnswer> {
  const ask = async (session: Session, names: LedgerNames) => {
    const ledger: TrailLedger = {
      findTrails: question =>
        findTrails(session, names, question).catch(
          unlessThere(() => NO_LEDGER.findTrails(question)),
        ),
      wholeTrail: sha256 =>
        wholeTrail(session, names, sha256).catch(unlessThere(() => NO_LEDGER.wholeTrail(sha256))),
    }
    return [await trailAnswer(question, ledger, journal)]
  }
  const asked = await askLedger(paths, ask, asking)
  if ('rows' in asked) return asked.rows[0]!
  const answer = await trailAnswer(question, NO_LEDGER, journal)
  return { ...answer, ledgerSilentBecause: asked.silentBecause }
}

/** A ledger that is not there yet says nothing, and hides nothing. */
function unlessThere<T>(nothing: () => Promise<T>): (error: unknown) => Promise<T> {
  return error => {
    if (isMissingTable(error)) return nothing()
    throw error
  }
}

/** Nothing was ever counted there, or it cannot be asked. */
const NO_LEDGER: TrailLedger = {
  findTrails: async () => ({ rows: [], sightings: [], hasMore: false }),
  wholeTrail: async () => ({ ledger: undefined, mendedBy: [], sightings: [], sightingsCount: 0 }),
}
