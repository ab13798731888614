import { printableLines } from '../../shared/printable.ts'

/** A point in time for people, in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** To the millisecond. */
export function preciseTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, -1)
}

const asides = new Set<string>()

/** Said on standard error right above the answer, once; above an error it is not said. */
export function sayAside(text: string): void {
  asides.add(printableLines(`(${text})\n`))
}

/** @param isWanted there is an answer, be it an empty one. */
export function endAsides(isWanted: boolean): void {
  if (isWanted) for (const text of asides) process.stderr.write(text)
  asides.clear()
}

/** Writes with backpressure: a slow reader must not make us hold everything. */
export function print(text: string): Promise<void> {
  return printRaw(printableLines(text))
}

/** As it is, whatever a terminal makes of it. */
export async function printRaw(text: string | Uint8Array): Promise<void> {
  endAsides(true)
  if (!process.stdout.write(text)) {
    await new Promise<void>(resolve => process.stdout.once('drain', resolve))
  }
}
