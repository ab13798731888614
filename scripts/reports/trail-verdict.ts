import { formatBytes, formatCount, formatCountOf } from '../../shared/numbers.ts'
import { givenName } from '../../shared/paths.ts'
import type {
  ContentState,
  ContentTrail,
  ProcessedFile,
  QueuedTrail,
  SightingTrail,
  TrailAnswer,
  TrailFile,
} from '../../shared/protocol.ts'
import { linesText } from '../terminal/index.ts'

/** The file that a trail is about: the one that was counted, else the one that came last. */
export interface MainFile {
  readonly name: string
  readonly origin: string | undefined
  /** What the history has of it. */
  readonly settled: ProcessedFile | undefined
  /** It is on its way. */
  readonly queued: QueuedTrail | undefined
  readonly sighting: SightingTrail | undefined
}

export function fileOfTrail(trail: ContentTrail): MainFile {
  const { sha256 = '', ledger, queued, settled, sightings } = trail
  const waiting = queued.find(({ sequence }) => `${sequence}` === ledger?.workSequence) ?? queued[0]
  const counted = settled.find(({ outcome }) => outcome === 'applied')
  const last = settled.at(-1)
  const ofRow = ledger !== undefined && FINAL.has(ledger.state)
  const isWaiting = !ofRow && waiting !== undefined
  const record = ledger?.state === 'applied' ? counted : isWaiting ? undefined : (counted ?? last)
  const sighting =
    ledger !== undefined || isWaiting
      ? undefined
      : (sightings.find(one => record !== undefined && isSame(record, one)) ?? sightings[0])
  const file = record ?? (isWaiting ? waiting : undefined)
  return {
    name: givenName(ledger?.name ?? file?.name ?? sighting?.name ?? '', sha256),
    origin: file?.origin,
    settled: record,
    queued: ledger?.state === 'applied' ? undefined : waiting,
    sighting,
  }
}

/** Nothing becomes of them by itself any more. */
const FINAL: ReadonlySet<ContentState> = new Set(['applied', 'refused', 'reverted', 'held'])

/** Those that an answer is about. */
export function filesOfAnswer({ trail, several = [] }: TrailAnswer): readonly TrailFile[] {
  if (trail === undefined) return several
  const { sha256, ledger } = trail
  const { name, settled, queued, sighting } = fileOfTrail(trail)
  const state: TrailFile['state'] =
    ledger?.state ?? settled?.outcome ?? sighting?.outcome ?? 'waiting'
  const atMs = ledger?.countedAtMs ?? settled?.settledAtMs ?? sighting?.atMs ?? queued?.claimedAtMs
  const told = { name, state, atMs: atMs ?? ledger?.digestedAtMs ?? 0 }
  return [{ ...told, ...(sha256 === undefined ? {} : { sha256 }) }]
}

/** Whether this sighting tells of that very file. */
export function isOf({ sighting, settled }: MainFile, other: SightingTrail): boolean {
  return other === sighting || (settled !== undefined && isSame(settled, other))
}

/** The ledger has the name that its maker gave it, the history the one in the inbox. */
function isSame(settled: ProcessedFile, other: SightingTrail) {
  const { name, sha256, outcome, claimedAtMs, settledAtMs } = settled
  const isThen = other.atMs >= claimedAtMs && other.atMs <= settledAtMs
  const isNamed = [name, givenName(name, sha256)].includes(other.name)
  return isNamed && other.outcome === outcome && isThen
}

/** What has become of it, and why. */
export function verdictOf(trail: ContentTrail, isLedgerSilent: boolean): string {
  const { ledger } = trail
  const { settled, queued, sighting } = fileOfTrail(trail)
  switch (ledger?.state) {
    case 'applied': {
      const { pairs, amount, sizeBytes } = ledger
      const consumers =
        pairs === undefined
          ? 'consumers unknown, as it was counted before sums were kept'
          : formatCountOf(pairs, 'consumer')
      return `counted: ${linesText(ledger)}, ${consumers}, amount ${formatCount(BigInt(amount))}, ${formatBytes(sizeBytes)}`
    }
    case 'reverting':
      return 'counted, and being taken back'
    case 'reverted': {
      const instead =
        ledger.supersededBy === undefined ? '' : ', and another content counted instead'
      return `not counted any more: it was taken back${instead}${ledger.reason ? `: ${ledger.reason}` : ''}`
    }
    case 'held':
      return `not counted yet: it is held until "countersink release" or "countersink refuse": ${ledger.reason ?? ''}`
    case 'refused':
      return `not counted: refused: ${ledger.reason ?? ''}. Published again, it is tried again.`
    case 'applying':
      return 'not counted yet: its batch has begun'
    case 'staged':
      return 'not counted yet: its sums are recorded, and wait for whoever counts'
    case 'staging':
      return 'not counted yet: its sums are being recorded'
  }
  if (queued !== undefined && settled === undefined) return `not counted yet: ${waitsFor(queued)}`
  if (settled?.outcome === 'applied') {
    return isLedgerSilent
      ? `counted as far as the journal knows: ${linesText(settled)}, amount ${formatCount(BigInt(settled.amount))}`
      : "not counted: the journal has it as counted, but MariaDB's ledger does not: it is an older or another database"
  }
  const { outcome, reason } = settled ?? sighting ?? {}
  return `not counted: ${outcome ?? 'nothing is known of it'}: ${reason ?? ''}`
}

function waitsFor({ stage, checkpointBytes, sizeBytes }: QueuedTrail): string {
  if (stage === 'digested') return 'it is read, and waits to be recorded or counted'
  if (checkpointBytes === undefined) return 'it waits to be read'
  return `it is read up to ${formatBytes(checkpointBytes)} of ${formatBytes(sizeBytes)} at least`
}
