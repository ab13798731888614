import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { formatManifest } from '../../../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../../../shared/paths.ts'
import type { KnownFile } from './make-file.ts'

export interface Piece {
  readonly name: string
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
  /** Whether a manifest stands at `path` with the suffix of manifests. */
  readonly hasManifest: boolean
}

/**
 * Cuts a file at line ends into pieces of at most `bytesMax`: many small files that together add up
 * to what is known of the large one. Beside each that is to have one stands its manifest, as the
 * generator makes it.
 */
export async function cutFile(
  file: KnownFile,
  bytesMax: number,
  directory: string,
  hasManifest: (index: number) => boolean = () => true,
): Promise<Piece[]> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const pieces: Piece[] = []
  const buffer = Buffer.alloc(bytesMax)
  const fd = openSync(file.path, 'r')
  try {
    for (let at = 0; at < file.sizeBytes; ) {
      const got = readSync(fd, buffer, 0, bytesMax, at)
      const content = buffer.subarray(0, buffer.subarray(0, got).lastIndexOf(0x0a) + 1)
      if (content.length === 0) throw new Error(`no line ends within ${bytesMax} bytes`)
      const name = `piece-${String(pieces.length).padStart(6, '0')}.txt`
      const path = join(directory, name)
      writeFileSync(path, content, { mode: 0o600 })
      const sha256 = createHash('sha256').update(content).digest('hex')
      const control = { sizeBytes: content.length, sha256 }
      const withManifest = hasManifest(pieces.length)
      if (withManifest) {
        const more = { lines: undefined, amount: undefined, disposable: false }
        const text = formatManifest({ ...control, ...more })
        writeFileSync(`${path}${MANIFEST_SUFFIX}`, text, { mode: 0o600 })
      }
      pieces.push({ name, path, ...control, hasManifest: withManifest })
      at += content.length
      if (pieces.length % 500 === 0) await setImmediate()
    }
  } finally {
    closeSync(fd)
  }
  return pieces
}
