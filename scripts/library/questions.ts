import type { ProcessedFile } from '../../shared/protocol.ts'
import { findContent, proveTotals } from '../asking/index.ts'
import { addsUp } from '../reports/index.ts'
import { withService } from './service.ts'
import type { Checked, CheckOptions, SettledFile, Verified, VerifyOptions } from './types.ts'

export function checkForProgram(options: CheckOptions): Promise<Checked> {
  return withService(options, async ({ paths, asking }) => {
    const { sha256, state, match } = await findContent(paths, options.subject, asking)
    const file = match?.applied ?? match?.last
    return { sha256, isCounted: state === 'counted', state, file: file && settledFile(file) }
  })
}

export function verifyForProgram(options: VerifyOptions): Promise<Verified> {
  return withService(options, async ({ paths, asking }) => {
    const { full = false, differencesMax = DIFFERENCES_MAX, onProgress = () => {} } = options
    const wanted = full ? { differencesMax, onProgress } : undefined
    const { sums, files = 0, findings, consumers } = await proveTotals(paths, wanted, asking)
    const looked = consumers !== undefined && 'differences' in consumers ? consumers : undefined
    const unreadable = (looked?.unreadable ?? []).map(text => ({ check: 'blocks', text }))
    return {
      addsUp: addsUp({ findings, consumers }),
      sums: sums && {
        ...{ opening: sums.opening, counted: sums.counted, totals: sums.totals, files },
        batchesOpen: sums.batchesOpen,
      },
      findings: [...findings, ...unreadable],
      differences: looked?.differences ?? [],
      differencesCount: looked?.differencesCount ?? 0,
      unknownBecause:
        consumers !== undefined && 'unknownBecause' in consumers
          ? consumers.unknownBecause
          : undefined,
    }
  })
}

const DIFFERENCES_MAX = 10_000

export function settledFile(file: ProcessedFile): SettledFile {
  const { name, sha256, sizeBytes, lines, amount, outcome, reason } = file
  const { claimedAtMs, settledAtMs } = file
  return {
    ...{ name, sha256, sizeBytes, lines, amount: BigInt(amount), outcome, reason },
    ...{ claimedAtMs, settledAtMs },
  }
}
