import { CountersinkError } from '../../../shared/errors.ts'
import type { BadLine } from '../line-defects.ts'
import type { SumKernel } from '../sum-kernel.ts'
import type { SumJob } from '../worker-messages.ts'
import { Segment, segmentsOf } from './segment.ts'

/**
 * The first line that is none, of a file of which it is known that it has one: it tells a person best
 * what the file is. The kernel's sums are given up.
 *
 * @throws CountersinkError FILE_CHANGED when there is none
 */
export function firstBadLine(job: SumJob, kernel: SumKernel, pause: () => void): BadLine {
  const { fd, sizeBytes, readBytes, pairsMax } = job
  kernel.reset(pairsMax)
  const segment = new Segment(kernel, { fd, sizeBytes, startBytes: 0 })
  for (const span of segmentsOf({ startBytes: 0, endBytes: sizeBytes }, readBytes)) {
    pause()
    segment.open(span)
    for (;;) {
      const stop = segment.sum()
      if (stop === 'done') break
      if (stop === 'bad') return segment.badLine('bad', kernel.lines)
      kernel.clear() // no room, or a sum that is too large: of no interest here
    }
  }
  throw new CountersinkError('FILE_CHANGED', 'the bad lines of the file are not there any more')
}
