import { printableLines } from '../../shared/printable.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'

/** A processed file as `--json` shows it: amounts are strings, times are UTC ISO-8601. */
export function fileJson(file: ProcessedFile) {
  const iso = (ms: number): string => new Date(ms).toISOString()
  return {
    sha256: file.sha256,
    size: file.sizeBytes,
    lines: file.lines,
    amount: file.amount,
    outcome: file.outcome,
    name: file.name,
    time: iso(file.settledAtMs),
    ...(file.reason === undefined ? {} : { reason: file.reason }),
    claimedAt: iso(file.claimedAtMs),
    digestStartedAt: iso(file.digestStartedAtMs),
    digestedAt: iso(file.digestedAtMs),
    settledAt: iso(file.settledAtMs),
  }
}

/** A point in time for people, in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** Writes with backpressure: a slow reader must not make us hold everything. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(printableLines(text))) {
    await new Promise<void>(resolve => process.stdout.once('drain', resolve))
  }
}
