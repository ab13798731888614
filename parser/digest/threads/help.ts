/**
 * Helping with the sums of a file: what a thread does that has nothing else to do, such as the hash
 * thread at the end of its file. It keeps its own sums in a smaller piece of memory, hands them over
 * at the end of each span, and writes nothing.
 */

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { CountersinkError } from '../../../shared/errors.ts'
import { type Help, type HelpedSums, SegmentBoard } from '../segment-board.ts'
import { SumKernel } from '../sum-kernel.ts'
import { Segment, type SegmentFile } from './segment.ts'

/** What a helper's sums may take. A helper without room leaves the rest to others. */
const SUM_BYTES_MAX = 16 * 1024 * 1024
/** Consumers that a helper sums: what it hands over at once is at most 16 MiB. */
const PAIRS_MAX = 2 ** 20

/** One for all files of this thread. */
let kernel: SumKernel | undefined

/** Helps until the leader needs nothing more. `throwIfCancelled` may end it before. */
export function helpSumming(
  { shared, port, member }: Help,
  file: SegmentFile & { readonly readBytes: number },
  throwIfCancelled: () => void,
): void {
  const board = new SegmentBoard(shared, file.readBytes)
  let tried = -1
  while (!board.isEnded) {
    throwIfCancelled()
    const seen = board.spansSeen
    // Once a span: who had no room stays out of it, so what is handed over stays bounded.
    if (seen === tried) {
      board.waitForSpan(seen)
      continue
    }
    tried = seen
    board.enter()
    try {
      const sums = sumClaimed(board, member, file, throwIfCancelled)
      if (sums !== undefined) port.postMessage(sums, [sums.ids.buffer, sums.amounts.buffer])
    } catch (error: unknown) {
      // The leader meets it as well, and says it of the right place.
      if (!(error instanceof CountersinkError)) throw error
      board.spoil()
    } finally {
      board.leave()
    }
  }
}

/** The sums of all segments that can be claimed now. Undefined: there are none, or it is spoiled. */
function sumClaimed(
  board: SegmentBoard,
  member: number,
  file: SegmentFile & { readonly readBytes: number },
  throwIfCancelled: () => void,
): HelpedSums | undefined {
  let claimed = board.claim(member)
  if (claimed === undefined) return undefined
  kernel ??= new SumKernel({ sumBytesMax: SUM_BYTES_MAX, segmentBytesMax: file.readBytes })
  kernel.reset(PAIRS_MAX)
  const segment = new Segment(kernel, file)
  let left: HelpedSums['left']
  for (let isFirst = true; claimed !== undefined; claimed = board.claim(member), isFirst = false) {
    throwIfCancelled()
    const isReadable = segment.open(claimed)
    if (isReadable && isFirst) segment.placeWindow()
    const stop = isReadable ? segment.sum() : 'bad'
    if (stop === 'done') continue
    if (stop !== 'full') {
      board.spoil()
      return undefined
    }
    left = { startBytes: segment.positionBytes, endBytes: claimed.endBytes }
    break
  }
  const { lines, amount } = kernel
  return { lines, amount, ...kernel.sortedArrays(), left }
}

/** The other end, once nobody is inside: what helpers have made of a span. */
export function handedOver(ports: readonly MessagePort[]): HelpedSums[] {
  const parts: HelpedSums[] = []
  for (const port of ports) {
    for (let got = receiveMessageOnPort(port); got !== undefined; ) {
      parts.push(got.message as HelpedSums)
      got = receiveMessageOnPort(port)
    }
  }
  return parts
}
