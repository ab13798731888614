import { formatBytes, formatCount } from '../../shared/numbers.ts'
import type { ContentTrail, ProcessedFile } from '../../shared/protocol.ts'
import { fileOfTrail } from './trail-verdict.ts'

/** A step of a file's way. */
export interface Step {
  readonly what: string
  readonly atMs: number
  /** Since the step before; undefined: it is the first. */
  readonly tookMs?: number
  readonly note?: string
}

/** In the order in which they happened, as far as they have, and are known. */
export function stepsOf(trail: ContentTrail): Step[] {
  const steps = timesOf(trail)
  return steps.map((step, i) => {
    const before = steps[i - 1]
    // The clocks of this host and of MariaDB's may differ.
    return before === undefined ? step : { ...step, tookMs: Math.max(0, step.atMs - before.atMs) }
  })
}

function timesOf(trail: ContentTrail): Step[] {
  const { ledger } = trail
  const { settled, queued, sighting } = fileOfTrail(trail)
  const file = settled ?? queued
  const claimedAtMs = ledger?.claimedAtMs ?? file?.claimedAtMs
  const readAtMs = file?.digestedAtMs ?? ledger?.digestedAtMs
  const startedAtMs = file?.digestStartedAtMs
  const { checkpoints } = file ?? {}
  const isCounted = ledger?.countedAtMs !== undefined
  const isAtOnce = isCounted && ledger.countedAtMs === ledger.recordedAtMs
  const checkpoint = step('checkpoint', checkpoints?.lastAtMs, checkpoints && tally(checkpoints))
  // A journal that was made anew from the ledger does not know when the reading began.
  const reading = step('reading', startedAtMs === claimedAtMs ? undefined : startedAtMs)
  const announced = step('announced', file?.announcedAtMs)
  // A look has come before its announcement.
  const isFound = (file?.announcedAtMs ?? Number.POSITIVE_INFINITY) > (claimedAtMs ?? 0)
  const claimed = step(
    'claimed',
    claimedAtMs,
    file && (isFound ? 'found in the inbox' : 'as announced'),
  )
  // The journal has it as what it is now; it was settled when it was counted first.
  const isOwn = settled?.outcome === 'applied' || (settled?.outcome === 'reverted' && isCounted)
  const isAgain = (ledger?.postings.length ?? 0) > 2 || (ledger?.postings[0]?.n ?? 1) > 1
  const counted = step(
    isAgain ? 'counted again' : 'counted',
    ledger?.countedAtMs,
    isAtOnce ? 'recorded in the same step' : undefined,
  )
  const wasInterrupted = (checkpoint[0]?.atMs ?? 0) < (reading[0]?.atMs ?? 0)
  return [
    ...step('published', file?.publishedAtMs ?? ledger?.publishedAtMs),
    ...(isFound ? [...claimed, ...announced] : [...announced, ...claimed]),
    ...(wasInterrupted ? [...checkpoint, ...reading] : [...reading, ...checkpoint]),
    ...step(
      'read',
      readAtMs,
      wasInterrupted && checkpoints ? 'went on after an interruption' : undefined,
    ),
    ...(isAtOnce ? [] : step('recorded', ledger?.recordedAtMs, attempts(ledger?.attempts))),
    ...(isAgain ? [] : counted),
    ...step(isOwn ? 'settled' : (settled?.outcome ?? 'settled'), settled?.settledAtMs),
    ...(isAgain ? counted : []),
    ...step('taken back', ledger?.revertedAtMs, ledger?.reason),
    ...(settled === undefined && sighting !== undefined
      ? step(sighting.outcome, sighting.atMs)
      : []),
  ]
}

function step(what: string, atMs: number | undefined, note?: string): Step[] {
  if (atMs === undefined) return []
  return [{ what, atMs, ...(note === undefined ? {} : { note }) }]
}

function tally({ count, lastPositionBytes }: NonNullable<ProcessedFile['checkpoints']>): string {
  const which = count === 1 ? 'the only one' : `the last of ${formatCount(count)}`
  return `${which}, at ${formatBytes(lastPositionBytes)}`
}

function attempts(count: number | undefined): string | undefined {
  if (count === undefined || count === 0) return undefined
  return `begun anew ${count === 1 ? 'once' : `${formatCount(count)} times`}`
}
