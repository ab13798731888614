import { availableParallelism } from 'node:os'
import type { Series } from '../bench-context.ts'
import { sizeText } from '../row.ts'
import { type Plot, plotSvg } from './plot.ts'

const Y_LABEL = 'MB/s'

const PLOTS: Readonly<Record<Series['plot'], Omit<Plot, 'series'>>> = {
  'file-size': {
    title: 'Digest: throughput against file size',
    xLabel: 'size of the file',
    yLabel: Y_LABEL,
    xText: sizeText,
  },
  consumers: {
    title: 'Digest: throughput against consumers',
    xLabel: 'consumers in the file',
    yLabel: Y_LABEL,
    xText: x => (x >= 1e6 ? `${x / 1e6} million` : x.toLocaleString('en').replace(',', ' ')),
  },
  workers: {
    title: `Digest: throughput against workers, on ${availableParallelism()} cores`,
    xLabel: 'workers',
    yLabel: Y_LABEL,
    xText: String,
    xScale: 'linear',
  },
}

/** The plots of which there are series, by file name. */
export function plotFiles(series: readonly Series[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const [name, plot] of Object.entries(PLOTS)) {
    const own = series.filter(one => one.plot === name)
    if (own.length > 0) files.set(`${name}.svg`, plotSvg({ ...plot, series: own }))
  }
  return files
}
