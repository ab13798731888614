import { readFileSync } from 'node:fs'

/** What a process holds in memory, from /proc; undefined when there is no such process. */
export function processMemory(
  pid: number | 'self',
): { readonly rssBytes: number; readonly peakRssBytes: number } | undefined {
  let status: string
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    // It has ended.
    return undefined
  }
  const bytesOf = (field: string): number | undefined => {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)
    return match?.[1] === undefined ? undefined : Number(match[1]) * 1024
  }
  const rssBytes = bytesOf('VmRSS')
  const peakRssBytes = bytesOf('VmHWM')
  // A process that is ending has a status without memory.
  return rssBytes === undefined || peakRssBytes === undefined
    ? undefined
    : { rssBytes, peakRssBytes }
}
