/** Columns for a terminal: numbers to the right, texts to the left, two spaces between. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  rightAligned: ReadonlySet<number> = new Set(),
): string[] {
  const widths = head.map((title, i) =>
    Math.max(title.length, ...rows.map(row => (row[i] ?? '').length)),
  )
  return [head, ...rows].map(row =>
    row
      .map((cell, i) =>
        rightAligned.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
