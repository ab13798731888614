/**
 * Writing a run: under a tmp name in the same directory, then renamed. A crash before the rename leaves
 * a hidden `.NAME.tmp`, one after it a run that nothing names yet; both are swept by the next start
 * (`sweepRuns`). A failure leaves no file.
 *
 * What a checkpoint is to name is synced before, and its directory (`syncRunsSync`). Of all other runs
 * a power loss may leave anything: their checksums tell, and the file is read again.
 */

import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crashPoint } from '../../shared/crash-points.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { RunEncoder } from './run-encoder.ts'
import type { RunFacts, RunLabel } from './run-format.ts'
import type { PairChunk } from './sums.ts'

/** A run's place, and the place where it is written. */
function pathsOf(directory: string, name: string): { path: string; tmp: string } {
  return { path: join(directory, name), tmp: join(directory, `.${name}.tmp`) }
}

/**
 * Writes a run of all pairs that `fill` puts, in ascending order.
 * @throws CountersinkError DISK_FULL, IO_FAILED, or what `fill` throws; no file is left then
 */
export function writeRunSync(
  directory: string,
  name: string,
  label: RunLabel,
  fill: (put: (chunk: PairChunk) => void) => void,
): RunFacts {
  const { path, tmp } = pathsOf(directory, name)
  const encoder = new RunEncoder(label)
  let left = tmp
  crashPoint('P2-before-run-written')
  try {
    const fd = openSync(tmp, 'w', 0o600)
    try {
      fill(chunk => {
        for (let at = 0; at < chunk.ids.length; ) {
          at += encoder.add(chunk, at)
          if (encoder.isFull) writeAllSync(fd, encoder.positionBytes, encoder.take())
        }
      })
      writeAllSync(fd, encoder.positionBytes, encoder.takeLast())
      writeAllSync(fd, 0, encoder.header())
    } finally {
      closeSync(fd)
    }
    renameSync(tmp, path)
    left = path
    crashPoint('P2-run-renamed')
    return encoder.facts
  } catch (error: unknown) {
    rmSync(left, { force: true })
    throw writeFailure(path, error)
  }
}

/** Makes runs durable. @throws CountersinkError DISK_FULL, IO_FAILED */
export function syncRunsSync(directory: string, names: readonly string[]): void {
  if (names.length === 0) return
  try {
    for (const name of names) syncSync(join(directory, name), constants.O_RDONLY)
    syncSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error: unknown) {
    throw writeFailure(directory, error)
  }
  crashPoint('P2-run-synced')
}

function writeAllSync(fd: number, position: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

function syncSync(path: string, flags: number): void {
  const fd = openSync(path, flags)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A failed system call as one of the family; everything else as it is. */
function writeFailure(path: string, error: unknown): Error {
  const cause = toError(error)
  if (hasCode(cause, 'ENOSPC', 'EDQUOT')) {
    return new CountersinkError('DISK_FULL', `no room to write a run in ${dirname(path)}`, {
      cause,
      advice: 'Make room on the filesystem of the state directory.',
    })
  }
  if (cause instanceof CountersinkError || !('syscall' in cause)) return cause
  return new CountersinkError('IO_FAILED', `writing ${path} failed: ${cause.message}`, { cause })
}
