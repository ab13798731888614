import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { openWorkFile, sameIdentity } from '../../parser/reading/index.ts'
import { archiveDirectories, parseArchivedName } from '../../shared/archive.ts'
import { closeQuietly } from '../../shared/durable.ts'
import { CountersinkError, hasCode, toError } from '../../shared/errors.ts'
import { parseSettledName, type StatePaths } from '../../shared/paths.ts'
import { fileKey, namesIn } from './on-their-way.ts'

/** A file whose content was counted before, or is another copy of one. */
export interface ArchivedFile {
  readonly directory: string
  /** Its path from there on. */
  readonly entry: string
  /** The name it came with. */
  readonly name: string
  /** The first digits of its content's hash when it was archived, 12 or 16. */
  readonly hashPrefix: string
  readonly disposable: boolean
}

/** All of them, a group of one directory at a time: it may hold a million. */
export async function* archivedFiles(
  paths: StatePaths,
  groupMax: number,
): AsyncGenerator<ArchivedFile[]> {
  for (const directory of [paths.archive, paths.archiveDisposable, paths.duplicate]) {
    const disposable = directory === paths.archiveDisposable
    for await (const day of archiveDirectories(directory)) {
      const parse = day === '' ? parseSettledName : parseArchivedName
      let group: ArchivedFile[] = []
      for await (const name of namesIn(join(directory, day))) {
        const settled = parse(name)
        if (settled === undefined) continue
        group.push({ directory, entry: join(day, name), ...settled, disposable })
        if (group.length < groupMax) continue
        yield group
        group = []
      }
      if (group.length > 0) yield group
    }
  }
}

/** What an archived file is today. */
export type Inspection =
  | {
      readonly kind: 'whole'
      readonly sha256: string
      readonly sizeBytes: number
      /** Of a file that has other names, see `fileKey`. */
      readonly key: string | undefined
    }
  /** Not what was archived, or it cannot be known. */
  | { readonly kind: 'changed'; readonly why: string }
  | { readonly kind: 'gone' }

/** Reads it to its end. */
export async function inspect({ directory, entry, hashPrefix }: ArchivedFile): Promise<Inspection> {
  try {
    const file = await openWorkFile(join(directory, entry))
    if (file === undefined) return { kind: 'gone' }
    try {
      const before = await file.identity()
      const sha256 = await hashOf(file.handle)
      if (!sha256.startsWith(hashPrefix)) {
        return { kind: 'changed', why: `its content is ${sha256} today` }
      }
      if (!sameIdentity(before, await file.identity())) {
        return { kind: 'changed', why: 'it was written to while it was read' }
      }
      const key = fileKey(await file.handle.stat())
      return { kind: 'whole', sha256, sizeBytes: Number(before.size), key }
    } finally {
      await closeQuietly(file.handle)
    }
  } catch (error) {
    // One that cannot be read must not keep the others from coming back.
    if (error instanceof CountersinkError || hasCode(error, 'EIO', 'EISDIR')) {
      return { kind: 'changed', why: toError(error).message }
    }
    throw error
  }
}

/** One for all files, which are read one after the other: most are small. */
const buffer = Buffer.allocUnsafe(2 ** 20)

async function hashOf(handle: FileHandle): Promise<string> {
  const hash = createHash('sha256')
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) return hash.digest('hex')
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}
