/**
 * How much is measured: the full run's amounts are those of the table of aims; the quick run keeps
 * the ratios that are wanted and shrinks the data, so that it ends within two minutes on two cores.
 */
export interface Scale {
  readonly name: 'full' | 'quick'
  /** Of each thing and of what it is compared with. */
  readonly repetitions: number
  readonly digestBytes: number
  /** What mawk gets, which is slow. */
  readonly mawkBytes: number
  /**
   * Consumers of the three files of the digest and memory rows. The quick run has as many fewer as
   * its files are smaller: what a file takes once for all its consumers, a sealed run above all, is
   * then the same share of it.
   */
  readonly consumers: readonly [few: number, many: number, most: number]
  /** Files that the built parser takes while its memory is watched, besides those of the digest. */
  readonly memoryBytes: { readonly most: number; readonly large: number }
  /** 0: not measured. */
  readonly memoryConsumers: number
  readonly applyPairs: number
  readonly applyRepetitions: number
  /** The quick run has as many consumers fewer as its files are smaller. */
  readonly backlog: { readonly files: number; readonly bytes: number; readonly consumers: number }
  /** Files that come without a pause, with usage by time and without. */
  readonly stream: { readonly files: number; readonly bytes: number; readonly consumers: number }
  readonly smallFiles: number
  readonly oneCounter: {
    readonly files: number
    readonly bytes: number
    readonly consumers: number
  }
  /** What is verified in full. */
  readonly proof: { readonly contents: number; readonly consumers: number }
  /** What a consumer's account is read from: all of a content's sums are in one block. */
  readonly explained: { readonly contents: number; readonly consumers: number }
  /** What becomes part of the opening balance. */
  readonly pruned: { readonly contents: number; readonly consumers: number }
  /** Brought into their hour, day and month. */
  readonly rolled: { readonly contents: number; readonly consumers: number }
  /** The whole way of one file. */
  readonly manyConsumers: { readonly consumers: number; readonly bytes: number }
  /** Whose usage by time is asked for. */
  readonly usageConsumers: number
  /** With an earlier build; of the digests, which are short, three times as many. */
  readonly turnsBefore: number
  readonly digestAgainBytes: readonly number[]
  readonly digestAgainConsumers: number
  /** A file of so many bytes is read so often in a row. */
  readonly latency: { readonly bytes: number; readonly readings: number }
  readonly serving: { readonly bytes: number; readonly seconds: number }
  readonly wholeWayBytes: number
  /** The quick run has as many fewer as its file is smaller. */
  readonly wholeWayConsumers: number
  /** What LOAD DATA gets of it: its time is multiplied. */
  readonly loadDataBytes: number
  readonly generatorBytes: number
  readonly sustainedMinutes: number
  readonly sustainedFileBytes: number
  readonly sustainedConsumers: number
  readonly processedContents: number
  readonly restarts: number
  /** Starts with a long past, and as many without. */
  readonly starts: number
  readonly historyContents: number
  readonly scalingBytes: number
  /** Counts for throughput against consumers. */
  readonly scalingConsumers: readonly number[]
  /** Sizes for throughput against file size. */
  readonly scalingSizes: readonly number[]
}

const MB = 1e6
const GB = 1e9

export const FULL: Scale = {
  name: 'full',
  repetitions: 5,
  digestBytes: GB,
  mawkBytes: 50 * MB,
  consumers: [10_000, 1_000_000, 10_000_000],
  memoryBytes: { most: GB, large: 4 * GB },
  memoryConsumers: 20_000_000,
  applyPairs: 1_000_000,
  applyRepetitions: 5,
  backlog: { files: 64, bytes: 8 * MB, consumers: 1_000_000 },
  stream: { files: 1_024, bytes: 8 * MB, consumers: 1_000_000 },
  smallFiles: 10_000,
  oneCounter: { files: 100, bytes: 8 * MB, consumers: 1_000_000 },
  proof: { contents: 100, consumers: 1_000_000 },
  explained: { contents: 10_000, consumers: 5_000 },
  pruned: { contents: 1_000, consumers: 100_000 },
  usageConsumers: 1_000_000,
  rolled: { contents: 100, consumers: 1_000_000 },
  manyConsumers: { consumers: 20_000_000, bytes: 1.6 * GB },
  turnsBefore: 5,
  digestAgainBytes: [16 * MB, 64 * MB],
  digestAgainConsumers: 1_000_000,
  latency: { bytes: 2 * GB, readings: 2 },
  serving: { bytes: GB, seconds: 60 },
  wholeWayBytes: GB,
  wholeWayConsumers: 1_000_000,
  loadDataBytes: 100 * MB,
  generatorBytes: GB,
  sustainedMinutes: 10,
  sustainedFileBytes: 100 * MB,
  sustainedConsumers: 1_000_000,
  processedContents: 100_000,
  restarts: 7,
  starts: 7,
  historyContents: 1_000_000,
  scalingBytes: 256 * MB,
  scalingConsumers: [1e3, 1e4, 1e5, 1e6, 1e7],
  scalingSizes: [1 * MB, 4 * MB, 16 * MB, 64 * MB, 256 * MB, GB],
}

export const QUICK: Scale = {
  ...FULL,
  name: 'quick',
  repetitions: 2,
  digestBytes: 128 * MB,
  mawkBytes: 4 * MB,
  consumers: [10_000, 128_000, 1_280_000],
  memoryBytes: { most: 128 * MB, large: 0 },
  memoryConsumers: 0,
  applyPairs: 200_000,
  applyRepetitions: 2,
  backlog: { files: 64, bytes: 0.8 * MB, consumers: 100_000 },
  stream: { files: 64, bytes: 0.8 * MB, consumers: 100_000 },
  smallFiles: 2_000,
  oneCounter: { files: 40, bytes: 0.8 * MB, consumers: 100_000 },
  proof: { contents: 10, consumers: 1_000_000 },
  explained: { contents: 1_000, consumers: 5_000 },
  pruned: { contents: 100, consumers: 100_000 },
  usageConsumers: 100_000,
  rolled: { contents: 10, consumers: 100_000 },
  manyConsumers: { consumers: 400_000, bytes: 32 * MB },
  turnsBefore: 1,
  digestAgainBytes: [2 * MB],
  digestAgainConsumers: 125_000,
  latency: { bytes: 256 * MB, readings: 5 },
  serving: { bytes: 64 * MB, seconds: 5 },
  wholeWayBytes: 128 * MB,
  wholeWayConsumers: 128_000,
  loadDataBytes: 4 * MB,
  generatorBytes: 128 * MB,
  sustainedMinutes: 0.1,
  sustainedFileBytes: 20 * MB,
  sustainedConsumers: 100_000,
  processedContents: 20_000,
  restarts: 2,
  starts: 3,
  historyContents: 50_000,
  scalingBytes: 16 * MB,
  scalingConsumers: [1e3, 1e5],
  scalingSizes: [1 * MB, 16 * MB],
}
