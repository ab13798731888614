import assert from 'node:assert/strict'
import { PairTally } from '../../sums/index.ts'
import type { SumKernel } from '../sum-kernel.ts'
import type { SumVerdict } from '../worker-messages.ts'
import type { BoundedSums } from './bounded-sums.ts'

// What is handed on of a file that is good: its sums, held once more against the amount of its lines.

type Found = Pick<SumVerdict & { ok: true }, 'sums' | 'largestSum'>

/** They stay in memory: nothing of them is on disk. */
export function sumsInMemory(kernel: SumKernel, amount: bigint): Found {
  const sums = kernel.sortedArrays()
  const tally = new PairTally()
  tally.add(sums)
  assert.equal(tally.amount, amount, 'the sums hold another amount than the lines')
  return { largestSum: tally.largestSum, sums }
}

/** Merged into one run, which is sealed. */
export function sumsInRun(bounded: BoundedSums, amount: bigint): Found {
  const { name: runName, largestSum, amount: found } = bounded.finish()
  assert.equal(found, amount, 'the runs hold another amount than the lines')
  return { largestSum, sums: { runName } }
}
