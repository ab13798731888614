import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { readJournal } from '../../parser/journal/index.ts'
import type { Config } from '../../shared/config.ts'
import { logsDirectory } from '../../shared/config-places.ts'
import { describeError, explainError, hasCode, toError } from '../../shared/errors.ts'
import { deferred } from '../../shared/handoff.ts'
import { prioritised } from '../../shared/journald.ts'
import { stopRequested } from '../../shared/lifecycle.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import {
  command,
  count,
  fields,
  list,
  measure,
  one,
  oneOf,
  orNull,
  sha256,
  text,
} from '../command-table/index.ts'
import { InboxDrain } from '../publishing/index.ts'
import { outliveTheTerminal, refuseAnotherDatabase, Supervisor } from '../supervising/index.ts'
import {
  asideText,
  EXIT,
  environment,
  LOG_OPTIONS,
  LOG_SETTINGS,
  print,
  variablesOf,
} from '../terminal/index.ts'

export const run = command({
  name: 'run',
  isService: true,
  summary: 'count what is in the inbox, and end (--once; for cron)',
  about: `Counts what stands in the inbox when it starts, and what is queued, and ends. It starts what "up"
starts (without a generator), and stops it in order. A file without a manifest is waited for until it
has not changed for COUNTERSINK_QUIET_MS; what comes later is left to the next run.

Where "up" or another run is at work in the directory, that one counts the files and this one waits.
When that ends too early, this one goes on by itself. A directory that is empty is made the state
directory; one that is not there is refused.

Says nothing when all is well and nobody sits at a terminal. Whatever ends it, the next one goes on.`,
  options: {
    once: {
      kind: 'switch',
      help: 'must be given: a service that goes on is "countersink up --no-generator"',
      required:
        'run counts what is there and ends, and --once says so; what goes on is "countersink up --no-generator"',
    },
    timeout: {
      ...{ kind: 'number', value: 'S', min: 0, max: 1_000_000_000, default: 600 },
      help: 'how long it may take, with all that is waited for: a lock, a database, a disk, a file that is written to; to stop in order takes a little more',
    },
    ...LOG_OPTIONS,
  },
  exits: {
    0: 'all counted, or counted before',
    1: 'something was quarantined, or stays in the inbox (names and reasons are on standard error)',
    3: 'it is not all settled after S seconds or cannot be, and why',
    130: 'interrupted',
  },
  examples: [
    { line: 'countersink run --once --dir /srv/countersink --timeout 3600', what: 'as from cron' },
  ],
  answer: one(
    fields({
      exit: count('the exit status'),
      outcome: oneOf('settled', 'left', 'cannot', 'interrupted'),
      reason: orNull(text(), 'why not all is settled'),
      ...{
        applied: count(),
        duplicate: count(),
        quarantined: count(),
        reverted: count(),
        held: count(),
      },
      rejectedLines: count('bad lines of counted files that were put aside'),
      left: count(),
      quarantinedFiles: list(
        fields({ name: text(), sha256 }, { reason: text() }),
        'the first hundred; also of what was settled while another did the work',
      ),
      leftFiles: list(fields({ name: text(), why: text() }), 'the first hundred'),
      seconds: measure(),
    }),
  ),
  async run({ values, isDirGiven, answer }) {
    Object.assign(process.env, variablesOf(values, LOG_SETTINGS))
    const timeoutMs = values.timeout * 1_000
    const startedMs = performance.now()
    process.umask(0o077)
    const { paths: own, config } = environment(values.dir, true)
    const paths = { ...own, log: logsDirectory(process.env, isDirGiven) ?? own.log }
    await refuseDirectoriesOfOthers(paths.dir)
    await refuseAnotherDatabase(paths, config)
    const end = await runOnce(paths, config, startedMs + timeoutMs)
    const seconds = Math.round(performance.now() - startedMs) / 1_000
    if (values.json) await answer(asJson(end, seconds))
    await tell(end, seconds, values.json)
    return EXIT_OF[end.outcome]
  },
})

const LOOK_INTERVAL_MS = 100
const LOCK_INTERVAL_MS = 500

type Outcome = 'settled' | 'left' | 'cannot' | 'interrupted'
const EXIT_OF = {
  settled: EXIT.ok,
  left: EXIT.no,
  cannot: EXIT.cannot,
  interrupted: EXIT.interrupted,
} as const satisfies Record<Outcome, number>

interface End {
  readonly outcome: Outcome
  /** Why not all is settled. */
  readonly reason: string | undefined
  readonly drain: InboxDrain
}

/**
 * Looks whether all is settled until it is. Whoever has the lock of the directory does the work: that is
 * this process as soon as it gets it.
 */
async function runOnce(paths: StatePaths, config: Config, untilMs: number): Promise<End> {
  const drain = new InboxDrain(paths)
  const keeping = new Keeping(paths, config)
  const interruption = stopRequested(false, () => {
    keeping.abandon()
    process.exit(EXIT.interrupted)
  })
  let interrupted: string | undefined
  void interruption.then(why => (interrupted = why))
  let isSettled = false
  let failure: Error | undefined
  try {
    while (!isSettled && interrupted === undefined) {
      keeping.begin()
      isSettled = await drain.look(pid => keeping.isOurs(pid))
      if (isSettled || performance.now() >= untilMs) break
      await Promise.race([sleep(LOOK_INTERVAL_MS), keeping.failed, interruption])
    }
  } catch (error) {
    failure = toError(error)
  }
  try {
    await keeping.end(() => readTheRest(paths, drain))
  } catch (error) {
    failure ??= toError(error)
  }
  if (failure !== undefined) return { outcome: 'cannot', reason: explainError(failure), drain }
  if (interrupted !== undefined) return { outcome: 'interrupted', reason: interrupted, drain }
  if (!isSettled && drain.cannotBecause !== undefined) {
    const why = keeping.lockedBecause === undefined ? '' : `; ${keeping.lockedBecause}`
    return { outcome: 'cannot', reason: `${drain.cannotBecause}${why}`, drain }
  }
  if (!isSettled) drain.giveUp()
  const isClean = drain.counts.quarantined + drain.left.files === 0
  return { outcome: isClean ? 'settled' : 'left', reason: undefined, drain }
}

/** A supervisor of our own, once nobody else's is at work. */
class Keeping {
  readonly #paths: StatePaths
  readonly #config: Config
  readonly #env = { ...process.env, COUNTERSINK_RUN_ID: randomUUID() }
  readonly #failure = deferred()
  #supervisor: Supervisor | undefined
  #nextMs = 0
  /** What keeps us out. */
  lockedBecause: string | undefined
  /** Never resolves. */
  readonly failed = this.#failure.promise

  constructor(paths: StatePaths, config: Config) {
    this.#paths = paths
    this.#config = config
    this.failed.catch(() => {
      // Said at the end.
    })
    outliveTheTerminal(this)
  }

  /** Takes the lock if it is free, and starts what is to run; to be called again and again. */
  begin(): void {
    if (this.#supervisor !== undefined || performance.now() < this.#nextMs) return
    const supervisor = new Supervisor({
      ...{ paths: this.#paths, config: this.#config, env: this.#env, withGenerator: false },
      onNotice: text => {
        if (process.stderr.isTTY) process.stderr.write(`${printable(text)}\n`)
      },
    })
    this.#supervisor = supervisor
    supervisor.failed.catch(error => this.fail(error))
    supervisor.start().then(
      () => (this.lockedBecause = undefined),
      error => {
        if (!hasCode(error, 'STATE_DIRECTORY_IN_USE')) return this.fail(error)
        this.lockedBecause = toError(error).message
        this.#supervisor = undefined
        this.#nextMs = performance.now() + LOCK_INTERVAL_MS
      },
    )
  }

  /** Whether this is the parser that we have started. */
  isOurs(pid: number): boolean {
    return this.#supervisor?.status.parser?.pid === pid
  }

  /** Stops what is ours; `look` comes when nothing has the journal open, and nobody else may yet. */
  async end(look: () => Promise<void>): Promise<void> {
    const supervisor = this.#supervisor
    try {
      if (supervisor?.state !== 'running') return
      await supervisor.stopChildren()
      await look()
    } finally {
      await supervisor?.stop()
    }
  }

  abandon(): void {
    this.#supervisor?.abandon()
  }

  fail(error: unknown): void {
    this.#supervisor?.note(describeError(error), 'error')
    this.#failure.reject(toError(error))
  }

  reopenLogs(): void {
    this.#supervisor?.reopenLogs()
  }

  note(text: string): void {
    this.#supervisor?.note(text)
  }
}

/** What was settled while everything was stopped: nobody else would tell of it. */
async function readTheRest(paths: StatePaths, drain: InboxDrain): Promise<void> {
  const { number } = drain
  if (number === undefined) return
  const page = await readJournal(paths.journal, view =>
    view.answer({ kind: 'after', number }, Number.MAX_SAFE_INTEGER),
  )
  if (page !== undefined) drain.noteSettled(page)
}

function asJson({ outcome, reason, drain }: End, seconds: number) {
  const { counts, rejectedLines, quarantined, left } = drain
  return {
    ...{ exit: EXIT_OF[outcome], outcome, reason: reason ?? null, ...counts, rejectedLines },
    left: left.files,
    quarantinedFiles: quarantined.map(({ name, sha256, reason }) => ({ name, sha256, reason })),
    ...{ leftFiles: left.first, seconds },
  }
}

async function tell(end: End, seconds: number, isJson: boolean): Promise<void> {
  const { outcome, reason, drain } = end
  const { counts, quarantined, left } = drain
  if (!isJson && process.stdout.isTTY) {
    const { applied, duplicate } = counts
    const parts = [`${applied} applied`, `${duplicate} duplicate`]
    parts.push(`${counts.quarantined} quarantined`, `${left.files} left in the inbox`)
    if (drain.rejectedLines > 0) parts.push(asideText(drain))
    await print(`${outcome} in ${seconds.toFixed(1)} s: ${parts.join(', ')}\n`)
  }
  const say = (text: string): void => {
    process.stderr.write(prioritised(`countersink run: ${printable(text)}\n`, 'warn'))
  }
  for (const { name, reason } of quarantined) {
    say(`quarantined ${quotedName(name)}: ${reason ?? 'it is not said why'}`)
  }
  for (const { name, why } of left.first) say(`left in the inbox ${quotedName(name)}: ${why}`)
  const unnamed = counts.quarantined + left.files - quarantined.length - left.first.length
  if (unnamed > 0) say(`and ${unnamed} more; "countersink hashes" and "status" name them`)
  if (outcome === 'cannot') say(`${reason}${/[.!?…]$/.test(reason ?? '') ? '' : '.'} ${GOES_ON}`)
  if (outcome === 'interrupted') say(`interrupted (${reason}). ${GOES_ON}`)
}

const GOES_ON = 'Nothing is lost; the next run goes on.'
