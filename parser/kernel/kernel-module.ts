/** The built kernel: where it is, and what it exports. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** More than the kernel needs for itself. */
export const KERNEL_BYTES = 640 * 1024

/** What assembly/sums.ts exports, as it is seen from here. Addresses and counts are 32-bit. */
export interface KernelExports {
  readonly memory: WebAssembly.Memory
  memoryStart(): number
  layOut(start: number, bytes: number, base: bigint, size: number, pairsMax: number): void
  clear(): void
  resetTotals(): void
  sumLines(start: number, end: number): number
  sampleIds(start: number, end: number): number
  addPairs(first: number, count: number): number
  sort(): void
  nextChunk(): number
  beginMerge(sources: number, at: number): void
  supply(ids: number, amounts: number, pairs: number): void
  merge(most: number): number
  emptyMerged(): void
  beginPacking(): void
  pack(ids: number, amounts: number, count: number): number
  packRest(): void
  unpack(bytes: number, pairs: number, ids: number, amounts: number): number
  find(bytes: number, pairs: number, id: bigint): number
  layOutRemainders(ids: number, lows: number, highs: number, rows: number): void
  takePairs(ids: number, amounts: number, pairs: number, isBack: boolean): number
  unsettledFrom(row: number): number
  fillIds(ids: number, first: bigint, count: number): void
  putOnto(lows: number, highs: number): void
  gatherPairs(ids: number, amounts: number, isBelow: boolean): number
  wideFrom(row: number): number
  readonly hungry: WebAssembly.Global<'i32'>
  readonly mergedPairs: WebAssembly.Global<'i32'>
  readonly mergedIds: WebAssembly.Global<'i32'>
  readonly mergedAmounts: WebAssembly.Global<'i32'>
  readonly MERGED_PAIRS_MAX: WebAssembly.Global<'i32'>
  readonly SOURCE_BYTES: WebAssembly.Global<'i32'>
  readonly joinedPairs: WebAssembly.Global<'i32'>
  readonly overflowId: WebAssembly.Global<'i64'>
  readonly overflowSource: WebAssembly.Global<'i32'>
  readonly CHUNK_PAIRS: WebAssembly.Global<'i32'>
  readonly chunkIds: WebAssembly.Global<'i32'>
  readonly chunkAmounts: WebAssembly.Global<'i32'>
  readonly GIVEN_PAIRS: WebAssembly.Global<'i32'>
  readonly givenIds: WebAssembly.Global<'i32'>
  readonly givenAmounts: WebAssembly.Global<'i32'>
  readonly packState: WebAssembly.Global<'i32'>
  readonly packed: WebAssembly.Global<'i32'>
  readonly packedBytes: WebAssembly.Global<'i32'>
  readonly packedPairs: WebAssembly.Global<'i32'>
  readonly packedFirstId: WebAssembly.Global<'i64'>
  readonly packedLastId: WebAssembly.Global<'i64'>
  readonly packedAmountLow: WebAssembly.Global<'i64'>
  readonly packedAmountHigh: WebAssembly.Global<'i64'>
  readonly blockToUnpack: WebAssembly.Global<'i32'>
  readonly unpackedFirstId: WebAssembly.Global<'i64'>
  readonly unpackedLastId: WebAssembly.Global<'i64'>
  readonly unpackedAmountLow: WebAssembly.Global<'i64'>
  readonly unpackedAmountHigh: WebAssembly.Global<'i64'>
  readonly isFound: WebAssembly.Global<'i32'>
  readonly foundAmount: WebAssembly.Global<'i64'>
  readonly position: WebAssembly.Global<'i32'>
  readonly pairs: WebAssembly.Global<'i32'>
  readonly lines: WebAssembly.Global<'i64'>
  readonly amountLow: WebAssembly.Global<'i64'>
  readonly amountHigh: WebAssembly.Global<'i64'>
  readonly consumer: WebAssembly.Global<'i64'>
}

/** An unsigned number of 64 bits that the kernel shows. */
export function unsigned({ value }: WebAssembly.Global<'i64'>): bigint {
  return BigInt.asUintN(64, value)
}

/** An unsigned number of 128 bits, shown in two halves. */
export function unsigned128(
  high: WebAssembly.Global<'i64'>,
  low: WebAssembly.Global<'i64'>,
): bigint {
  return (unsigned(high) << 64n) | unsigned(low)
}

/** Another instance, with this memory of its own: at least KERNEL_BYTES. */
export function startKernel(memory: WebAssembly.Memory): KernelExports {
  const { exports } = new WebAssembly.Instance(compiledKernel(), { env: { memory } })
  return exports as unknown as KernelExports
}

let compiled: WebAssembly.Module | undefined

/** Built, it stands beside this file; a source that runs as it is uses the build's. */
function compiledKernel(): WebAssembly.Module {
  if (compiled === undefined) {
    const beside = new URL('./assembly/sums.wasm', import.meta.url)
    const built = new URL('../../dist/parser/kernel/assembly/sums.wasm', import.meta.url)
    compiled = new WebAssembly.Module(
      readFileSync(fileURLToPath(existsSync(beside) ? beside : built)),
    )
  }
  return compiled
}
