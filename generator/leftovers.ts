import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../shared/errors.ts'
import { type Manifest, readManifest } from '../shared/manifest.ts'
import { MANIFEST_SUFFIX } from '../shared/paths.ts'
import { parseGeneratedName } from './names.ts'
import type { GeneratedFile } from './state-shape.ts'

/**
 * Files of a stream that stand in the inbox from an earlier life, in order of their numbers. Only
 * names are kept: each is read when there is room for it among the unsettled.
 */
export class Leftovers {
  readonly #inbox: string
  readonly #names: readonly string[]
  #next = 0

  private constructor(inbox: string, names: readonly string[]) {
    this.#inbox = inbox
    this.#names = names
  }

  static async find(inbox: string, stream: string): Promise<Leftovers> {
    const numbered = (await readdir(inbox)).flatMap(name => {
      const parsed = parseGeneratedName(name)
      return parsed?.stream === stream ? [{ name, number: parsed.number }] : []
    })
    numbered.sort((a, b) => a.number - b.number)
    return new Leftovers(
      inbox,
      numbered.map(one => one.name),
    )
  }

  get remaining(): number {
    return this.#names.length - this.#next
  }

  /** The next one that still stands there with its manifest; undefined when none is left. */
  async take(): Promise<GeneratedFile | undefined> {
    for (;;) {
      const name = this.#names[this.#next]
      if (name === undefined) return undefined
      this.#next += 1
      const manifest = await readOwnManifest(join(this.#inbox, `${name}${MANIFEST_SUFFIX}`))
      // Without a manifest the parser has begun to claim it, and needs no announcement; one without
      // totals is not of our making, and the parser's to judge.
      const { sizeBytes, sha256, lines, amount } = manifest ?? {}
      if (sizeBytes !== undefined && sha256 && lines !== undefined && amount !== undefined) {
        const usedAtMs = manifest?.terms?.usedAtMs
        const used = usedAtMs === undefined ? {} : { usedAtMs }
        return { name, sizeBytes, sha256, lines, amount, ...used }
      }
    }
  }
}

/** A manifest that somebody spoilt is for the parser to judge. */
async function readOwnManifest(path: string): Promise<Manifest | undefined> {
  try {
    return await readManifest(path)
  } catch (error) {
    if (hasCode(error, 'MANIFEST_INVALID')) return undefined
    throw error
  }
}
