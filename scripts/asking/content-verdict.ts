import { formatCount } from '../../shared/numbers.ts'
import { quotedName } from '../../shared/printable.ts'
import type { ContentMatch, Sighted } from '../../shared/protocol.ts'
import { linesText, timeText } from '../terminal/index.ts'

export const CONTENT_STATES = [
  'counted',
  'being-counted',
  'waiting',
  'held',
  'reverted',
  'refused',
  'never-seen',
  'ledger-lacks-it',
] as const
export type ContentState = (typeof CONTENT_STATES)[number]

/** Whether a content is counted, in words. */
export function contentVerdict(state: ContentState, match: ContentMatch | undefined): string {
  const file = match?.applied ?? match?.last
  const at = file === undefined ? '' : `${timeText(file.settledAtMs)} UTC`
  const name = file === undefined ? '' : quotedName(file.name)
  switch (state) {
    case 'counted':
      return `counted ${at} as ${name}: ${linesText(file!)}, amount ${formatCount(BigInt(file!.amount))}`
    case 'ledger-lacks-it':
      return `not counted: the journal has it as ${name}, ${at}, but MariaDB's ledger does not: it is an older or another database`
    case 'being-counted':
      return 'not counted yet: its batch has begun'
    case 'waiting':
      return 'not counted yet: it waits'
    case 'held':
      return `not counted yet: held since ${at} as ${name}: ${file?.reason ?? ''}`
    case 'reverted':
    case 'refused':
      return file === undefined
        ? sightedText(match!.sighted!)
        : `not counted: ${file.outcome} ${at} as ${name}: ${file.reason ?? ''}`
    case 'never-seen':
      return 'not counted: never seen'
  }
}

function sightedText({ outcome, atMs, name, reason }: Sighted): string {
  return `not counted: ${outcome} ${timeText(atMs)} UTC as ${quotedName(name)}: ${reason}`
}
