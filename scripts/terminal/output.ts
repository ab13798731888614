import { printableLines } from '../../shared/printable.ts'

/** A point in time for people, in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** To the millisecond. */
export function preciseTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, -1)
}

/** Writes with backpressure: a slow reader must not make us hold everything. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(printableLines(text))) {
    await new Promise<void>(resolve => process.stdout.once('drain', resolve))
  }
}
