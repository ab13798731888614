import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'

const WRITE_BYTES = 4 * 2 ** 20

/** What the disk takes for as many bytes that cost nothing to make. */
export function plainWriteSeconds(path: string, sizeBytes: number): number {
  const zeros = Buffer.alloc(WRITE_BYTES)
  const startedMs = performance.now()
  const fd = openSync(path, 'wx', 0o600)
  for (let left = sizeBytes; left > 0; )
    left -= writeSync(fd, zeros, 0, Math.min(left, WRITE_BYTES))
  fsyncSync(fd)
  closeSync(fd)
  const seconds = (performance.now() - startedMs) / 1_000
  rmSync(path)
  return seconds
}
