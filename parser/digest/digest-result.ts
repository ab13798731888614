/** What both sides of a digest found, as one `Digest`. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint } from '../facts.ts'
import { MemorySums, type RunKeeper, RunSums } from '../sums/index.ts'
import type { Digest, DigestOptions, DigestVerdict } from './digest-types.ts'
import { sealDraft } from './seal-rejects.ts'
import type { HashResult, SumResult } from './worker-messages.ts'

/**
 * `resume`: what the digest went on from. Runs stay as long as the digest needs them.
 * @throws CountersinkError RUN_UNREADABLE if its sums are in a run that cannot be opened
 */
export async function digestOf(
  { sizeBytes, runsDirectory, rejects }: DigestOptions,
  resume: Checkpoint | undefined,
  runs: RunKeeper,
  { sha256, endsWithLineEnd, hashMs }: HashResult,
  { lines, helpedLines, rejected, verdict: found, sumMs }: SumResult,
): Promise<Digest> {
  const release = () => {
    runs.release()
    return runs.settled()
  }
  let verdict: DigestVerdict
  let runName: string | undefined
  if (found.ok) {
    const { amount, largestSum } = found
    if ('runName' in found.sums) runName = found.sums.runName
    const sums =
      'runName' in found.sums
        ? await RunSums.open(join(runsDirectory, found.sums.runName))
        : new MemorySums(found.sums.ids, found.sums.amounts)
    verdict = { ok: true, amount, sums, largestSum }
    if (rejects !== undefined && rejected.lines > 0) await sealDraft(rejects.draftPath, sha256)
  } else verdict = found
  return {
    sha256,
    sizeBytes,
    lines,
    helpedLines,
    rejected,
    endsWithLineEnd,
    verdict,
    resumedFromBytes: resume?.resumeBytes ?? 0,
    ...(runName === undefined ? {} : { runName }),
    hashMs,
    sumMs,
    release,
    async discard() {
      if (verdict.ok) await verdict.sums.close()
      runs.use([])
      // That of a good file may still be wanted: which it is, its row in the ledger tells.
      if (rejects !== undefined && !verdict.ok) await rm(rejects.draftPath, { force: true })
      await release()
    },
  }
}
