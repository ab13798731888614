import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Series } from '../bench-context.ts'
import type { Machine } from '../machine.ts'
import type { Row } from '../row.ts'
import type { Scale } from '../scale.ts'
import { updatePage } from './page.ts'
import { plotFiles } from './plots.ts'

// Built files stand in dist/scripts/bench/page/.
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const PAGE = `${ROOT}BENCHMARKS.md`
const PLOTS = `${ROOT}scripts/bench/plots/`

/** Puts a run's results into BENCHMARKS.md and its plots beside the benchmark. @returns what was written. */
export function writePage(
  rows: readonly Row[],
  series: readonly Series[],
  machine: Machine,
  scale: Scale['name'],
): string[] {
  const page = updatePage(readFileSync(PAGE, 'utf8'), rows, machine, scale)
  writeFileSync(PAGE, page)
  mkdirSync(PLOTS, { recursive: true })
  const plots = plotFiles(series)
  for (const [name, svg] of plots) writeFileSync(`${PLOTS}${name}`, svg)
  return ['BENCHMARKS.md', ...[...plots.keys()].map(name => `scripts/bench/plots/${name}`)]
}
