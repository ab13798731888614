import { formatCountOf } from '../../shared/numbers.ts'
import { printable } from '../../shared/printable.ts'
import { count, text } from '../command-table/index.ts'
import type { PutAside } from '../publishing/index.ts'

// What is asked for, and answered, of the bad lines of a file that is counted without them.

export const REJECT_LINES = {
  ...({ kind: 'text', value: 'N|P%' } as const),
  help: 'count the files though so many of their lines are bad, or such a share: these are put aside (countersink rejects); without it COUNTERSINK_REJECT_LINES says so',
} as const

export const PUT_ASIDE_SHAPE = {
  rejectedLines: count('bad lines of it that were put aside; missing: none'),
  rejects: text('the file that they are in'),
}

export function putAsideJson(aside: PutAside | undefined) {
  return aside === undefined ? {} : { rejectedLines: aside.lines, rejects: aside.path }
}

export function putAsideText({ lines, path }: PutAside): string {
  return `${formatCountOf(lines, 'bad line')} put aside: ${printable(path)}`
}
