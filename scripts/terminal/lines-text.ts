import { formatCountOf } from '../../shared/numbers.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'

type Lines = Pick<ProcessedFile, 'lines' | 'rejectedLines'>

/** How many lines of a file were counted, and how many were not. */
export function linesText(file: Lines): string {
  const lines = formatCountOf(file.lines, 'line')
  return file.rejectedLines ? `${lines}, ${asideText(file)}` : lines
}

export function asideText({ rejectedLines = 0 }: Pick<Lines, 'rejectedLines'>): string {
  return `${formatCountOf(rejectedLines, 'bad line')} put aside`
}
