/**
 * Publishes files one by one as each comes to rest, and hears what becomes of them. Says nothing to
 * anybody: who asks for it is told, in the order in which the files were named.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../../shared/config.ts'
import { CountersinkError, hasCode } from '../../shared/errors.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { formatDuration } from '../../shared/numbers.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { Outcome } from '../../shared/protocol.ts'
import type { Terms } from '../../shared/terms.ts'
import { readSupervisor } from '../state/index.ts'
import { type PublishedFile, publishFile, type Source } from './publication.ts'
import { SettlementWatch } from './settlement-watch.ts'
import { SourceRest } from './source-rest.ts'
import { type PutAside, whatWasPutAside, whyPutAside } from './whereabouts.ts'

export interface PublishingOptions {
  readonly paths: StatePaths
  readonly config: Pick<Config, 'quietMs' | 'unterminated'>
  /** What is asked for with each of them. */
  readonly terms?: Terms
  /** How long they are waited for once they are in the inbox; undefined: not at all. */
  readonly timeoutMs: number | undefined
  /** Of one that could not be brought in; at once. */
  readonly onRefused: (path: string, error: CountersinkError) => void | Promise<void>
  /** What is waited for, as long as it is. */
  readonly meanwhile: (text: string) => void
  readonly signal?: AbortSignal | undefined
}

/** One that stands in the inbox, or has gone further. */
export interface Brought {
  /** As it was named. */
  readonly path: string
  readonly file: PublishedFile
  /** undefined: it is not settled, or was not waited for. */
  readonly outcome: Outcome | undefined
  /** Why it is quarantined or held, and where it is. */
  readonly reasons: readonly string[] | undefined
  /** Bad lines of one that is counted. */
  readonly aside: PutAside | undefined
}

/**
 * @param tell told of each.
 * @returns why the parser could not be told of them; undefined: it was
 * @throws CountersinkError; the signal's reason
 */
export async function publishFiles(
  files: readonly string[],
  options: PublishingOptions,
  tell: (one: Brought) => void | Promise<void>,
): Promise<unknown> {
  const { paths, config, terms, timeoutMs, meanwhile, signal } = options
  const owner = processIdentity(process.pid)!
  const watch = new SettlementWatch(paths.parserSocket)
  const giveUp = (): void => watch.close()
  signal?.addEventListener('abort', giveUp)
  try {
    const published = await publishAtRest(files, {
      ...options,
      ...{ quietMs: config.quietMs, mayBeCut: config.unterminated === 'accept' },
      publish: async source => {
        const file = await publishFile({ ...source, ...(terms && { terms }) }, paths, owner)
        await watch.announce(file)
        return file
      },
    })
    const fromMs = performance.now()
    const patience = {
      get untilMs() {
        return signal?.aborted ? 0 : fromMs + (timeoutMs ?? 0)
      },
      isServiceAlive: async () => (await readSupervisor(paths)) !== undefined,
      onAbsence: () => meanwhile('the parser is not there; waiting for it …'),
    }
    for (const [path, file] of published) {
      const outcome = timeoutMs === undefined ? undefined : await watch.outcomeOf(file, patience)
      signal?.throwIfAborted()
      const isAside = outcome === 'quarantined' || outcome === 'held'
      const reasons = isAside ? await whyPutAside(paths, file, outcome) : undefined
      const aside = outcome === 'applied' ? await whatWasPutAside(paths, file) : undefined
      await tell({ path, file, outcome, reasons, aside })
    }
    return watch.trouble
  } finally {
    signal?.removeEventListener('abort', giveUp)
    watch.close()
  }
}

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
    readonly onRefused: PublishingOptions['onRefused']
    readonly meanwhile: (text: string) => void
    readonly signal?: AbortSignal | undefined
  },
): Promise<[path: string, file: PublishedFile][]> {
  const { quietMs, mayBeCut, signal } = options
  const sources = paths.map(path => new SourceRest(path, quietMs))
  const published = new Map<SourceRest, PublishedFile>()
  const intervalMs = Math.min(Math.max(quietMs / LOOKS, LOOK_INTERVAL_MS.min), LOOK_INTERVAL_MS.max)
  const sayAtMs = performance.now() + (quietMs > UNSAID_MS ? 0 : SAID_LATE * quietMs)
  for (let waiting = sources, isSaid = false; waiting.length > 0; ) {
    const restless: SourceRest[] = []
    for (const source of waiting) {
      signal?.throwIfAborted()
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
        await options.onRefused(source.path, error)
      }
    }
    waiting = restless
    if (waiting.length === 0) break
    if (!isSaid && performance.now() >= sayAtMs) {
      options.meanwhile(whatIsWaitedFor(waiting, quietMs))
      isSaid = true
    }
    await sleep(intervalMs, undefined, { ...(signal && { signal }) })
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
  return `waiting until nobody has written to ${files} for ${formatDuration(quietMs)} …`
}
