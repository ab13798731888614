/** The built kernel: where it is, and what it exports. */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What kernel/sums.ts exports, as it is seen from here. Addresses and counts are 32-bit. */
export interface KernelExports {
  memoryStart(): number
  layOut(start: number, bytes: number, base: bigint, size: number, pairsMax: number): void
  clear(): void
  resetTotals(): void
  sumLines(start: number, end: number): number
  sampleIds(start: number, end: number): number
  addPairs(first: number, count: number): number
  sort(): void
  nextChunk(): number
  beginMerge(sources: number): void
  supply(ids: number, amounts: number, pairs: number): void
  merge(): number
  emptyMerged(): void
  readonly hungry: WebAssembly.Global<'i32'>
  readonly mergedPairs: WebAssembly.Global<'i32'>
  readonly mergedIds: WebAssembly.Global<'i32'>
  readonly mergedAmounts: WebAssembly.Global<'i32'>
  readonly MERGED_SOURCES_MAX: WebAssembly.Global<'i32'>
  readonly CHUNK_PAIRS: WebAssembly.Global<'i32'>
  readonly chunkIds: WebAssembly.Global<'i32'>
  readonly chunkAmounts: WebAssembly.Global<'i32'>
  readonly position: WebAssembly.Global<'i32'>
  readonly pairs: WebAssembly.Global<'i32'>
  readonly lines: WebAssembly.Global<'i64'>
  readonly amountLow: WebAssembly.Global<'i64'>
  readonly amountHigh: WebAssembly.Global<'i64'>
  readonly consumer: WebAssembly.Global<'i64'>
}

/** Another instance, with this memory of its own. */
export function startKernel(memory: WebAssembly.Memory): KernelExports {
  const { exports } = new WebAssembly.Instance(compiledKernel(), { env: { memory } })
  return exports as unknown as KernelExports
}

let compiled: WebAssembly.Module | undefined

/** Built, it stands beside this file; a source that runs as it is uses the build's. */
function compiledKernel(): WebAssembly.Module {
  if (compiled === undefined) {
    const beside = new URL('./kernel/sums.wasm', import.meta.url)
    const built = new URL('../../dist/parser/digest/kernel/sums.wasm', import.meta.url)
    compiled = new WebAssembly.Module(
      readFileSync(fileURLToPath(existsSync(beside) ? beside : built)),
    )
  }
  return compiled
}
