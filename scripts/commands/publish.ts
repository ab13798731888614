import { setTimeout as sleep } from 'node:timers/promises'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { formatDuration } from '../../shared/numbers.ts'
import { printable, quotedName } from '../../shared/printable.ts'
import { type Command, DIR_HELP, EXIT, environment, parseOptions } from '../cli.ts'
import { type PublishedFile, publishFile, type Source } from '../publication.ts'
import { whySilent } from '../reaching.ts'
import { SettlementWatch } from '../settlement-watch.ts'
import { SourceRest } from '../source-rest.ts'
import { print } from '../sources.ts'

export const publish: Command = {
  name: 'publish',
  summary: 'bring existing files into the inbox',
  help: `
Usage: countersink publish [--dir D] FILE… [--wait]

Copies each file (the source is never touched), writes its manifest, renames it into the inbox and
announces it. Prints a line per file: applied|duplicate|quarantined|queued SHA256 BASENAME.
Works while the parser is down: the files are then taken at its next start.

A file that was written to less than COUNTERSINK_QUIET_MS ago is waited for until it has not changed
for so long; one that does not come to rest is refused. So is one that is empty, or whose last line
has no line end: it may be a cut copy. COUNTERSINK_UNTERMINATED=accept takes it as it is.

Exit status: 0; 1 when a file was quarantined; 3 when a file could not be brought in.

${DIR_HELP}
  --wait             wait until each file is settled, and say how
`,
  async run(args) {
    const { values, positionals } = parseOptions(
      args,
      { wait: { type: 'boolean', default: false } },
      { min: 1, max: Number.POSITIVE_INFINITY, what: 'a file to publish' },
    )
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
        refused: error => {
          const advice = error.advice === undefined ? '' : `. ${error.advice}`
          process.stderr.write(`countersink publish: ${printable(`${error.message}${advice}`)}\n`)
          status = EXIT.cannot
        },
      })
      for (const file of published) {
        const outcome = values.wait ? await watch.outcomeOf(file) : 'queued'
        await print(`${outcome} ${file.sha256} ${quotedName(file.basename)}\n`)
        if (outcome === 'quarantined' && status === EXIT.ok) status = EXIT.no
      }
      if (watch.trouble !== undefined) {
        const { silentBecause, isThere } = await whySilent(paths, 'parser', watch.trouble)
        const when = isThere ? 'when it looks into the inbox' : 'at its next start'
        process.stderr.write(`(${silentBecause}; it takes the files ${when})\n`)
      }
    } finally {
      watch.close()
    }
    return status
  },
}

/** Looks are this much more frequent than what is waited for, within reason. */
const LOOKS = 10
const LOOK_INTERVAL_MS = { min: 20, max: 500 }

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
    readonly refused: (error: CountersinkError) => void
  },
): Promise<PublishedFile[]> {
  const { quietMs, mayBeCut } = options
  const sources = paths.map(path => new SourceRest(path, quietMs))
  const published = new Map<SourceRest, PublishedFile>()
  const intervalMs = Math.min(Math.max(quietMs / LOOKS, LOOK_INTERVAL_MS.min), LOOK_INTERVAL_MS.max)
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
        const isOfThisFile = hasCode(error, 'FILE_UNFIT', 'IO_FAILED')
        if (!isOfThisFile || !(error instanceof CountersinkError)) throw error
        options.refused(error)
      }
    }
    waiting = restless
    if (waiting.length === 0) break
    if (!isSaid) process.stderr.write(`${whatIsWaitedFor(waiting, quietMs)}\n`)
    isSaid = true
    await sleep(intervalMs)
  }
  return sources.flatMap(source => published.get(source) ?? [])
}

const NAMED_MAX = 3

function whatIsWaitedFor(waiting: readonly SourceRest[], quietMs: number): string {
  const named = waiting.slice(0, NAMED_MAX).map(({ path }) => path)
  const others = waiting.length - named.length
  const files = `${named.join(', ')}${others === 0 ? '' : ` and ${others} more`}`
  return `countersink publish: waiting until nobody has written to ${files} for ${formatDuration(quietMs)} …`
}
