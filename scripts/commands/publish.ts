import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, explainError, hasCode } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { formatDuration } from '../../shared/numbers.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { OUTCOMES } from '../../shared/protocol.ts'
import {
  command,
  count,
  errorFields,
  fields,
  lines,
  list,
  oneOf,
  problem,
  sha256,
  text,
} from '../command-table/index.ts'
import {
  type PublishedFile,
  publishFile,
  SettlementWatch,
  type Source,
  SourceRest,
  whereItStands,
  whyPutAside,
} from '../publishing/index.ts'
import { readSupervisor } from '../state/index.ts'
import { EXIT, environment, print, whySilent } from '../terminal/index.ts'

export const publish = command({
  name: 'publish',
  summary: 'bring existing files into the inbox',
  about: `Copies each file (the source is never touched), writes its manifest, renames it into the inbox and
announces it. Prints a line per file: applied|duplicate|quarantined|queued SHA256 BASENAME.
Works while the parser is down: the files are then taken at its next start.

A file that was written to less than COUNTERSINK_QUIET_MS ago is waited for until it has not changed
for so long; one that does not come to rest is refused. So is one that ends in the middle of
a line: it may be a cut copy. COUNTERSINK_UNTERMINATED=accept takes it as it is.`,
  words: {
    ...{ kind: 'file', value: 'FILE', min: 1, max: Number.POSITIVE_INFINITY },
    missing: 'a file to publish',
  },
  options: {
    wait: {
      kind: 'switch',
      help: 'wait until each file is settled, also while the service starts or restarts, and say how; why one was quarantined stands below its line, on standard error',
    },
    timeout: {
      ...{ kind: 'number', value: 'S', min: 0, max: 1_000_000_000, onlyWith: 'wait' },
      help: 'wait at most S seconds; without it, as long as a service runs in the directory',
    },
  },
  exits: {
    0: 'all are in the inbox, or settled',
    1: 'a file was quarantined',
    3: 'a file could not be brought in, or is not settled when --wait ends',
  },
  examples: [
    { line: 'countersink publish usage-*.txt', what: 'bring these in' },
    { line: 'countersink publish usage.txt --wait --json', what: 'and tell what became of it' },
  ],
  answer: lines(
    fields(
      {
        file: text('as it was named'),
        outcome: oneOf(...OUTCOMES, 'queued'),
        ...{ sha256, name: text('in the inbox'), size: count('bytes') },
      },
      { reasons: list(text(), 'why it was quarantined or is held, and where it is') },
    ),
    fields({ file: text('one that could not be brought in'), error: problem }),
  ),
  async run({ values, positionals, answer }) {
    const timeoutMs =
      values.timeout === undefined ? Number.POSITIVE_INFINITY : values.timeout * 1_000
    const { paths, config } = environment(values.dir)
    const owner = processIdentity(process.pid)!
    const watch = new SettlementWatch(paths.parserSocket)
    const mayBeCut = config.unterminated === 'accept'
    let status: number = EXIT.ok
    try {
      const published = await publishAtRest(positionals, {
        ...{ quietMs: config.quietMs, mayBeCut },
        publish: async source => {
          const file = await publishFile(source, paths, owner)
          await watch.announce(file)
          return file
        },
        refused: async (path, error) => {
          process.stderr.write(`countersink publish: ${printable(explainError(error))}\n`)
          if (values.json) await answer({ file: path, ...errorFields(error) })
          status = EXIT.cannot
        },
      })
      const patience = {
        untilMs: performance.now() + timeoutMs,
        isServiceAlive: async () => (await readSupervisor(paths)) !== undefined,
        onAbsence: () => void process.stderr.write('(the parser is not there; waiting for it …)\n'),
      }
      let unsettled = 0
      for (const [path, file] of published) {
        const outcome = values.wait ? await watch.outcomeOf(file, patience) : undefined
        const isAside = outcome === 'quarantined' || outcome === 'held'
        const reasons = isAside ? await whyPutAside(paths, file, outcome) : undefined
        const told = outcome ?? 'queued'
        if (values.json) {
          const { sha256, name, sizeBytes } = file
          const why = reasons === undefined ? {} : { reasons }
          await answer({ file: path, outcome: told, sha256, name, size: sizeBytes, ...why })
        } else await print(`${told} ${file.sha256} ${quotedName(file.basename)}\n`)
        if (file.sizeBytes === 0) process.stderr.write('  it is empty: nothing of it is counted\n')
        for (const line of reasons ?? []) process.stderr.write(`  ${printable(line)}\n`)
        if (outcome === 'quarantined' && status === EXIT.ok) status = EXIT.no
        if (outcome === undefined) unsettled += 1
      }
      if (values.wait && unsettled > 0) {
        status = EXIT.cannot
        const files = `${unsettled} of ${published.length} not settled`
        process.stderr.write(`countersink publish: ${files}: ${await whereItStands(paths)}\n`)
      } else if (watch.trouble !== undefined) {
        const { silentBecause, isThere } = await whySilent(paths, 'parser', watch.trouble)
        const when = isThere ? 'when it looks into the inbox' : 'at its next start'
        process.stderr.write(`(${silentBecause}; it takes the files ${when})\n`)
      }
    } finally {
      watch.close()
    }
    return status
  },
})

/** Looks are this much more frequent than what is waited for, within reason. */
const LOOKS = 10
const LOOK_INTERVAL_MS = { min: 20, max: 500 }
/** Nobody needs to be told of a moment, unless it becomes longer. */
const UNSAID_MS = 2_000
const SAID_LATE = 1.2

/**
 * Publishes each source once it is at rest, first all that are so already. Those that were taken are
 * returned in the order they were named in.
 */
async function publishAtRest(
  paths: readonly string[],
  options: {
    readonly quietMs: number
    readonly mayBeCut: boolean
    readonly publish: (source: Source) => Promise<PublishedFile>
    readonly refused: (path: string, error: CountersinkError) => Promise<void>
  },
): Promise<[path: string, file: PublishedFile][]> {
  const { quietMs, mayBeCut } = options
  const sources = paths.map(path => new SourceRest(path, quietMs))
  const published = new Map<SourceRest, PublishedFile>()
  const intervalMs = Math.min(Math.max(quietMs / LOOKS, LOOK_INTERVAL_MS.min), LOOK_INTERVAL_MS.max)
  const sayAtMs = performance.now() + (quietMs > UNSAID_MS ? 0 : SAID_LATE * quietMs)
  for (let waiting = sources, isSaid = false; waiting.length > 0; ) {
    const restless: SourceRest[] = []
    for (const source of waiting) {
      try {
        const identity = await source.look()
        if (identity === undefined) restless.push(source)
        else {
          published.set(source, await options.publish({ path: source.path, identity, mayBeCut }))
        }
      } catch (error) {
        if (hasCode(error, 'FILE_CHANGED')) {
          source.changed()
          restless.push(source)
          continue
        }
        const isOfThisFile = hasCode(error, 'FILE_UNFIT', 'IO_FAILED', 'STOPPED')
        if (!isOfThisFile || !(error instanceof CountersinkError)) throw error
        await options.refused(source.path, error)
      }
    }
    waiting = restless
    if (waiting.length === 0) break
    if (!isSaid && performance.now() >= sayAtMs) {
      process.stderr.write(`${whatIsWaitedFor(waiting, quietMs)}\n`)
      isSaid = true
    }
    await sleep(intervalMs)
  }
  return sources.flatMap(source => {
    const file = published.get(source)
    return file === undefined ? [] : [[source.path, file]]
  })
}

const NAMED_MAX = 3

function whatIsWaitedFor(waiting: readonly SourceRest[], quietMs: number): string {
  const named = waiting.slice(0, NAMED_MAX).map(({ path }) => path)
  const others = waiting.length - named.length
  const files = `${named.join(', ')}${others === 0 ? '' : ` and ${others} more`}`
  return `countersink publish: waiting until nobody has written to ${files} for ${formatDuration(quietMs)} …`
}
