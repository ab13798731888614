/** The worker thread that makes the lines of a file. */

import { BlockRing } from './block-ring.ts'
import { type ConsumerSampler, createSampler } from './consumers.ts'
import type { FormatJob, FormatResult } from './making-messages.ts'
import { type FileRecipe, RecordSource } from './record-source.ts'
import { serveJobs } from './serve-jobs.ts'

/** The sampler of the last file: the next one nearly always wants the same. */
let latest: { readonly of: string; readonly sampler: ConsumerSampler } | undefined

serveJobs<FormatJob, FormatResult>(({ ring, recipe, blockBytes }) => {
  const blocks = new BlockRing(ring)
  const source = new RecordSource(recipe, samplerOf(recipe))
  for (;;) {
    const block = blocks.free()
    if (block === undefined) return undefined
    const bytes = source.fill(block.subarray(0, blockBytes))
    blocks.filled(bytes)
    if (bytes === 0) return { lines: source.lines, amount: source.amount }
  }
})

function samplerOf({ distribution, consumers }: FileRecipe): ConsumerSampler {
  const of = `${distribution} ${consumers}`
  if (latest?.of !== of) latest = { of, sampler: createSampler(distribution, consumers) }
  return latest.sampler
}
