import { dirname } from 'node:path'
import { syncDirectories } from '../shared/durable.ts'
import { FileMaker, type FileRecipe, type MadeFile } from './making/index.ts'

export interface OneFileOptions extends Omit<FileRecipe, 'fileSize' | 'number'> {
  /** Where the file is to stand; nothing may stand there before. */
  readonly path: string
  readonly sizeBytes: number
  /** @default 1 */
  readonly number?: number
}

/**
 * Makes one file as the generator makes it (formatted, hashed, written, synced, its name synced too),
 * for a benchmark. `seconds` is the time from opening the file to the end of the last sync; the
 * threads are started before, as they are in a generator that runs.
 *
 * @throws CountersinkError IO_FAILED, or the system's ENOSPC or EDQUOT; nothing is left then.
 */
export async function makeOneFile(
  options: OneFileOptions,
): Promise<MadeFile & { readonly seconds: number }> {
  const { path, sizeBytes, number = 1, ...recipe } = options
  const maker = new FileMaker()
  try {
    await maker.start()
    const startMs = performance.now()
    const made = await maker.make(
      path,
      { ...recipe, number, fileSize: { minBytes: sizeBytes, maxBytes: sizeBytes } },
      { signal: new AbortController().signal },
    )
    if (made === undefined) throw new Error('nobody gives it up')
    await syncDirectories(dirname(path))
    return { ...made, seconds: (performance.now() - startMs) / 1_000 }
  } finally {
    await maker.close()
  }
}
