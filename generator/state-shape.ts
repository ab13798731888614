/**
 * What the generator remembers, in `generator/state.json`, replaced as a whole: which file comes
 * next, and what was published so far. It is the other half of the closing proof: the sum that
 * MariaDB's ledger holds for `usage-STREAM-%` must equal `control.amount`.
 *
 * `progress.ts` tells how it changes and what a crash leaves; here is its form, and in `state.ts` how it is read.
 */
export interface GeneratorState {
  /** 8 hex digits, random at the stream's beginning: part of every file name. */
  readonly stream: string
  /** With a file's number it decides the file's bytes. */
  readonly seed: bigint
  /** When the days of usage end that its files tell of; the stream then began. */
  readonly calendarEndMs: number
  /** The number of the next file to make, from 1. Every lower one is published or pending. */
  readonly nextNumber: number
  /** Everything of this stream that was ever durably published, each file once. */
  readonly control: ControlTotals
  /** A file that is complete in the tmp directory, or has just left it; not yet in `control`. */
  readonly pending: PendingFile | null
  /** The latest run. */
  readonly run: Run | null
  /** Streams of other seeds, the latest last: their seed continues them when it comes back. */
  readonly earlier: readonly EarlierStream[]
}

export interface ControlTotals {
  readonly files: number
  readonly bytes: number
  readonly lines: number
  readonly amount: bigint
}

/** A generated file with its control totals. */
export interface GeneratedFile {
  readonly name: string
  readonly sizeBytes: number
  /** Lower-case hex. */
  readonly sha256: string
  readonly lines: number
  readonly amount: bigint
  /** undefined: it has no time of usage of its own. */
  readonly usedAtMs?: number
}

export interface PendingFile extends GeneratedFile {
  /** Its name in the tmp directory as long as it has not been renamed into the inbox. */
  readonly tmp: string
}

/**
 * One invocation of the supervisor, however often the generator is restarted in it. Its files have
 * the numbers from `firstNumber` on without a gap: `published` of them, and then the pending one.
 */
export interface Run {
  readonly id: string
  readonly firstNumber: number
  readonly published: number
}

export type EarlierStream = Pick<
  GeneratorState,
  'stream' | 'seed' | 'calendarEndMs' | 'nextNumber' | 'control'
>

export const NO_TOTALS: ControlTotals = { files: 0, bytes: 0, lines: 0, amount: 0n }
