import { formatTable } from './table.ts'

// How text is laid out for the width of a terminal. What is piped is as wide as it is: Infinity.

/** A terminal's width; without end where nobody looks. */
export function columnsOf(stream: { isTTY?: boolean; columns?: number }): number {
  return stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY
}

/** Whether lines may be redrawn and coloured: not in a pipe, nor on a terminal that says otherwise. */
export function isLively(
  stream: { isTTY?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && !env.NO_COLOR
}

/** Where a line may end: not behind a digit, where the number, its unit or what it counts goes on. */
const GAP = /(?<!\d) +/

/** The text in lines of at most so many columns. A word that is wider than a line is left whole. */
export function wrapText(text: string, columns: number): string[] {
  return text.length <= columns ? [text] : filled(text.split(GAP), ' ', columns)
}

/** The same of fields, none of which is divided. */
export function wrapFields(fields: readonly string[], columns: number): string[] {
  const line = fields.join('  ')
  if (line.length <= columns) return [line]
  return filled(
    fields.map(one => one.trim()),
    '  ',
    columns,
  )
}

function filled(pieces: readonly string[], gap: string, columns: number): string[] {
  const lines: string[] = []
  let line: string | undefined
  for (const piece of pieces) {
    const longer: string = line === undefined ? piece : `${line}${gap}${piece}`
    if (line !== undefined && longer.length > columns) {
      lines.push(line)
      line = piece
    } else {
      line = longer
    }
  }
  return [...lines, line ?? '']
}

/** Lines with a label before the first of them, and room of the same width before the others. */
export function labelled(label: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `${i === 0 ? label : ' '.repeat(label.length)}${line}`)
}

/** As many of the fields, the most important first, as fit into a line. */
export function fitFields(fields: readonly string[], columns: number, gap = ', '): string {
  let line = ''
  for (const field of fields) {
    const longer = line === '' ? field : `${line}${gap}${field}`
    if (line === '' || longer.length <= columns) line = longer
  }
  return shorten(line, columns)
}

/** A name that is too wide loses its middle: beginnings and ends tell names apart. */
export function shorten(text: string, columns: number): string {
  if (text.length <= columns) return text
  const kept = Math.max(0, columns - 1)
  const head = Math.floor(kept / 2)
  return `${text.slice(0, head)}…${text.slice(text.length - (kept - head))}`.slice(0, columns)
}

/** What a name in a table may be cut to. */
const NAME_COLUMNS_MIN = 16

/**
 * A table whose first column is names. Where it is too wide, the names are shortened; where that is not
 * enough, each row is its name, and below it the other cells with their titles.
 */
export function fitTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: ReadonlySet<number>,
  columns: number,
): string[] {
  const table = formatTable(head, rows, rightAligned)
  const excess = Math.max(...table.map(line => line.length)) - columns
  if (excess <= 0) return table
  const widest = Math.max(...rows.map(([name]) => name?.length ?? 0))
  if (widest - excess >= NAME_COLUMNS_MIN) {
    const shortened = rows.map(([name = '', ...cells]) => [
      shorten(name, widest - excess),
      ...cells,
    ])
    return formatTable(head, shortened, rightAligned)
  }
  return rows.flatMap(([name = '', ...cells]) => {
    const titled = cells.map((cell, i) => `${head[i + 1]} ${cell}`)
    return [shorten(name, columns), ...wrapFields(titled, columns - 2).map(line => `  ${line}`)]
  })
}
