/**
 * The gauges that the service exports and its status does not tell: room, lease, lag. They are numbers that
 * round; nothing exact is among them.
 */

export type Metrics = ReadonlyMap<string, number>

/** By name, or by name and labels as they are written: `countersink_up{process="parser"}`. */
export function metricsOf(text: string): Metrics {
  const found = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^([a-z_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? []
    if (name !== undefined) found.set(name, Number(value))
  }
  return found
}

/** `countersink_info{version="0.1.0"}` */
export function versionOf(metrics: Metrics): string | undefined {
  for (const name of metrics.keys()) {
    const [, version] = /^countersink_info\{version="([^"]*)"\}$/.exec(name) ?? []
    if (version !== undefined) return version
  }
  return undefined
}
