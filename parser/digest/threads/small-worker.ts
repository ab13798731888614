/** The worker thread that reads small files, many at once. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { toError } from '../../../shared/errors.ts'
import { type FileIdentity, identityOf, isSameFile } from '../../../shared/file-identity.ts'
import { PairTally } from '../../sums/index.ts'
import { LF } from '../line-defects.ts'
import type { SmallFile, SmallFilesJob } from '../small-files.ts'
import { SumKernel } from '../sum-kernel.ts'
import { serveJobs } from './worker-side.ts'

/** Enough for a line, and thus a consumer, in every four bytes of the largest file. */
const SUM_BYTES_PER_BYTE = 16

/** One for all files: its memory is used again. */
let kernel: SumKernel | undefined

serveJobs<SmallFilesJob, never, SmallFile[]>(({ paths, fileBytesMax, pairsMax }, control) => {
  kernel ??= new SumKernel({
    sumBytesMax: fileBytesMax * SUM_BYTES_PER_BYTE,
    segmentBytesMax: fileBytesMax,
  })
  const files: SmallFile[] = []
  for (const path of paths) {
    control.throwIfCancelled()
    const identity = readWhole(path, kernel.input.subarray(0, fileBytesMax))
    const file = identity === undefined ? undefined : digestOfSmallFile(identity, kernel, pairsMax)
    if (file === undefined) break
    files.push(file)
  }
  return { result: files, transfer: files.flatMap(file => [file.ids.buffer, file.amounts.buffer]) }
})

/**
 * Reads a file into `bytes`; returns what it is. undefined: it does not fit, is no regular file,
 * cannot be read, or changed meanwhile.
 */
function readWhole(path: string, bytes: Uint8Array): FileIdentity | undefined {
  let fd: number | undefined
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const before = fstatSync(fd, { bigint: true })
    const sizeBytes = Number(before.size)
    if (!before.isFile() || sizeBytes > bytes.length) return undefined
    if (readSync(fd, bytes, 0, sizeBytes, 0) !== sizeBytes) return undefined
    const after = fstatSync(fd, { bigint: true })
    const identity = identityOf(before)
    const isSame = isSameFile(identity, identityOf(after)) && before.ctimeNs === after.ctimeNs
    return isSame ? identity : undefined
  } catch (error) {
    if (!('syscall' in toError(error))) throw error
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** Of a file that stands in the kernel's input. undefined: a line is bad, or there is no room. */
function digestOfSmallFile(
  identity: FileIdentity,
  kernel: SumKernel,
  pairsMax: number,
): SmallFile | undefined {
  const { input } = kernel
  const sizeBytes = Number(identity.size)
  const sha256 = new Uint8Array(createHash('sha256').update(input.subarray(0, sizeBytes)).digest())
  const endsWithLineEnd = sizeBytes === 0 || input[sizeBytes - 1] === LF
  let end = sizeBytes
  if (!endsWithLineEnd) input[end++] = LF
  kernel.reset(pairsMax)
  if (kernel.sum(0, end) !== 'done') return undefined
  const { lines, amount } = kernel
  const sums = kernel.sortedArrays()
  const tally = new PairTally()
  tally.add(sums)
  assert.equal(tally.amount, amount, 'the sums hold another amount than the lines')
  return {
    identity,
    sha256,
    sizeBytes,
    lines,
    amount,
    largestSum: tally.largestSum,
    endsWithLineEnd,
    ...sums,
  }
}
