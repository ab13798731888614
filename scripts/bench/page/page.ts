/**
 * The blocks of BENCHMARKS.md that a run fills, each between two comments; all other text is a
 * person's. Rows that a run did not measure stay as they are, with the date that they were measured.
 *
 *     <!-- bench: table -->
 *     …
 *     <!-- /bench -->
 */

import type { Machine } from '../machine.ts'
import { machineText, plain } from '../report.ts'
import type { Row } from '../row.ts'
import type { Scale } from '../scale.ts'

export type Block = 'machine' | 'table' | 'missed' | 'figures'

const HEAD = [
  '| row | what | reached | wanted | | measured |',
  '| --- | --- | --- | --- | --- | --- |',
]
const UNEXPLAINED = 'not explained yet.'

/** @throws Error when a block is missing. */
export function updatePage(
  page: string,
  rows: readonly Row[],
  machine: Machine,
  scale: Scale['name'],
): string {
  let updated = replaceBlock(page, 'machine', () => ['```', machineText(machine), '```'])
  updated = replaceBlock(updated, 'table', before =>
    table(before, rows, `${machine.date} ${machine.commit}${scale === 'quick' ? ' quick' : ''}`),
  )
  updated = replaceBlock(updated, 'missed', before => missed(before, rows))
  return replaceBlock(updated, 'figures', before => figures(before, rows))
}

function replaceBlock(page: string, block: Block, fill: (before: string[]) => string[]): string {
  const begin = `<!-- bench: ${block} -->\n`
  const from = page.indexOf(begin) + begin.length
  const to = page.indexOf('<!-- /bench -->', from)
  if (from < begin.length || to < 0) throw new Error(`the page has no block ${block}`)
  const before = page
    .slice(from, to)
    .split('\n')
    .filter(line => line !== '')
  return `${page.slice(0, from)}${fill(before).join('\n')}\n${page.slice(to)}`
}

function table(before: readonly string[], rows: readonly Row[], measured: string): string[] {
  const lines = rows.map(row => {
    const verdict = row.verdict === 'missed' ? '**missed**' : row.verdict
    const cells = [row.name, row.what, row.reached, row.wanted, verdict]
    return `| ${cells.map(cell).join(' | ')} | ${measured} |`
  })
  return [...HEAD, ...merged(before.slice(HEAD.length), lines, /^\| (\S+) \|/)]
}

function missed(before: readonly string[], rows: readonly Row[]): string[] {
  const names = new Set(rows.map(({ name }) => name))
  const pattern = /^- \*\*(\S+)\*\* \(.*?\): (.*)$/
  const explained = new Map<string, string>()
  for (const line of before) {
    const match = pattern.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) explained.set(match[1], match[2])
  }
  const kept = before.filter(line => !names.has(pattern.exec(line)?.[1] ?? ''))
  const lines = rows
    .filter(({ verdict }) => verdict === 'missed')
    .map(
      ({ name, reached, wanted }) =>
        `- **${name}** (${reached}, wanted ${wanted}): ${explained.get(name) ?? UNEXPLAINED}`,
    )
  return [...kept, ...lines]
}

function figures(before: readonly string[], rows: readonly Row[]): string[] {
  const lines = rows.map(row => {
    const parts = Object.entries(row.figures).map(([name, value]) => `${name} ${plain(value)}`)
    return `- **${row.name}**: ${[...parts, ...(row.note === undefined ? [] : [cell(row.note)])].join(', ')}`
  })
  return merged(before, lines, /^- \*\*(\S+)\*\*:/)
}

/** New lines in place of old ones of their name; the others stay, new names come last. */
function merged(before: readonly string[], lines: readonly string[], name: RegExp): string[] {
  const byName = new Map(lines.map(line => [name.exec(line)?.[1], line]))
  const kept = before.map(line => {
    const key = name.exec(line)?.[1]
    const replacement = byName.get(key)
    byName.delete(key)
    return replacement ?? line
  })
  return [...kept, ...byName.values()]
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replace(/\s+/g, ' ')
}
