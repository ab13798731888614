/** What `status --json` prints. A field is null where nobody can be asked for it now. */

import {
  count,
  fields,
  flag,
  list,
  measure,
  oneOf,
  orNull,
  sha256,
  text,
  time,
} from '../command-table/index.ts'

const pid = orNull(count())
const uptimeSeconds = orNull(measure())
const reason = text('why it is not at work, or what it waits for')

const PROCESS = {
  ...{ state: text(), pid, uptimeSeconds, restarts: count() },
}
const OF_A_PROCESS = { reason, eventLoopDelayMs: measure() }

const COUNTS = fields(
  {
    ...{ applied: count(), duplicate: count(), quarantined: count(), reverted: count() },
    ...{ held: count(), bytes: count(), lines: count() },
  },
  { rejectedLines: count('bad lines of counted files that were put aside') },
)

export const PICTURE_SHAPE = fields(
  {
    answeredBy: orNull(oneOf('parser', 'journal')),
    journal: orNull(oneOf('in use', 'missing'), 'why it does not answer for the parser'),
    supervisor: fields({ state: text(), pid, uptimeSeconds }, { reason }),
    parser: fields(PROCESS, OF_A_PROCESS),
    generator: fields(PROCESS, {
      ...OF_A_PROCESS,
      connected: flag(),
      ...{ unsettled: count('files'), published: count('files, since its start') },
    }),
    queue: orNull(fields({ files: count(), bytes: count() })),
    reading: orNull(
      fields({
        ...{ name: text(), positionBytes: count(), sizeBytes: count() },
        resumedFromBytes: count('what a restart went on from'),
      }),
    ),
    database: fields(
      {
        kind: oneOf('private', 'yours'),
        remembered: orNull(text(), 'the one the state directory belongs to, without its password'),
        state: text('ready, unavailable, unfit; running or unknown where no parser says'),
      },
      {
        reason,
        host: text('of several the one that is used'),
        statement: fields({ ageSeconds: measure(), waitsFor: text() }),
        ...{ pid, restarts: count() },
        memoryBytes: fields({ pool: count(), log: count() }),
      },
    ),
    sinceStart: orNull(COUNTS),
    ever: orNull(COUNTS),
    sameNames: orNull(
      fields({ files: count(), newest: list(fields({ name: text(), contents: count() })) }),
      'names that came with other content than before',
    ),
    grewAfterwards: orNull(
      fields({ files: count(), newest: list(fields({ name: text(), change: text() })) }),
      'files that changed after they were counted',
    ),
    leftInInbox: orNull(
      fields({
        files: count(),
        reasons: list(fields({ why: text(), files: count(), names: list(text()) })),
      }),
    ),
    inboxAway: orNull(text(), 'why the inbox cannot be looked into'),
    held: orNull(
      fields({ files: count(), first: list(fields({ name: text(), sha256, since: time() })) }),
      'held until a person releases or refuses them',
    ),
    orders: orNull(
      fields({ orders: count(), first: list(fields({ kind: text(), why: text() })) }),
      'asked for, and waiting, as this parser knows it if it counts',
    ),
    usage: orNull(
      fields(
        { postings: count('files counted or taken back'), ageSeconds: count() },
        { why: text('what is wrong') },
      ),
      'what waits to be rolled up; null: nothing does, or the parser does not answer',
    ),
    unmoved: orNull(
      fields({ files: count(), first: list(fields({ name: text(), why: text() })) }),
      'settled, and still in work/',
    ),
    lastProgressAt: orNull(time()),
  },
  {
    serving: fields(PROCESS, { ...OF_A_PROCESS, address: text('where it listens') }),
  },
)
