/** Metrics as text, in the format that Prometheus reads (version 0.0.4). */

import type { Snapshot } from '../snapshot.ts'
import { METRICS } from './metrics.ts'
import type { Buckets, Metric } from './sample.ts'

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function metricsText(snapshot: Snapshot): string {
  return METRICS.map(metric => textOf(metric, snapshot)).join('')
}

function textOf(metric: Metric, snapshot: Snapshot): string {
  const { name, type, help } = metric
  const lines =
    metric.type === 'histogram'
      ? metric.of(snapshot).flatMap(found => histogramLines(name, metric.bounds, found))
      : metric.of(snapshot).map(({ labels, value }) => `${name}${labelText(labels)} ${value}`)
  if (lines.length === 0) return ''
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('\n')}\n`
}

function histogramLines(
  name: string,
  bounds: readonly number[],
  { labels, buckets, sum }: Buckets,
): string[] {
  let count = 0
  const lines = [...bounds.map(String), '+Inf'].map((le, i) => {
    count += buckets[i] ?? 0
    return `${name}_bucket${labelText({ ...labels, le })} ${count}`
  })
  return [
    ...lines,
    `${name}_sum${labelText(labels)} ${sum}`,
    `${name}_count${labelText(labels)} ${count}`,
  ]
}

function labelText(labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
    return `${name}="${escaped}"`
  })
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
