/**
 * The way of one file to the inbox. The caller records the steps in `progress.ts`.
 *
 * - **G1, `write`**: the records go to a tmp file that names its owner, and are hashed on the way
 *   (`making/file-maker.ts`); then the file is synced, and its name in the tmp directory. Died here: a tmp file of a dead
 *   owner; the next start sweeps it.
 * - The state names the file as pending. Died here: the next start publishes it.
 * - **G2 and G3, `publish`**: into the inbox (`publish.ts`). Died here: the next start publishes the file,
 *   manifest and all, or finds that it has left the tmp directory, and announces it.
 */

import { join } from 'node:path'
import { crashPoint } from '../shared/crash-points.ts'
import { syncDirectories, syncDirectory } from '../shared/durable.ts'
import type { ProcessIdentity } from '../shared/lifecycle.ts'
import type { Publication } from '../shared/manifest.ts'
import type { StatePaths } from '../shared/paths.ts'
import type { FileMaker, FileRecipe, MakeOptions } from './making/index.ts'
import { publish, tmpName } from './publishing/index.ts'
import { standsInTmp } from './state.ts'
import type { PendingFile } from './state-shape.ts'

export class Spool {
  readonly #paths: StatePaths
  readonly #owner: ProcessIdentity
  readonly #maker: FileMaker

  constructor(paths: StatePaths, owner: ProcessIdentity, maker: FileMaker) {
    this.#paths = paths
    this.#owner = owner
    this.#maker = maker
  }

  /**
   * G1: the file complete and durable in the tmp directory; undefined when abandoned.
   *
   * @throws CountersinkError IO_FAILED, or the system's ENOSPC or EDQUOT when the disk is full
   * while writing: nothing is left then, and the caller may wait and try again.
   */
  async write(
    name: string,
    recipe: FileRecipe,
    options: MakeOptions,
  ): Promise<PendingFile | undefined> {
    const tmp = tmpName(name, this.#owner)
    const made = await this.#maker.make(join(this.#paths.generatorTmp, tmp), recipe, options)
    if (made === undefined) return undefined
    // Without its name on disk, power loss would look like a file that has been renamed already.
    await syncDirectory(this.#paths.generatorTmp)
    crashPoint('G1-tmp-synced')
    return { tmp, name, ...made }
  }

  /** G2 and G3: the file durable in the inbox, its manifest before it. */
  async publish(file: PendingFile): Promise<Publication> {
    const { sizeBytes, sha256, lines, amount, usedAtMs } = file
    const manifest = { sizeBytes, sha256, lines, amount, disposable: true }
    const terms = usedAtMs === undefined ? {} : { terms: { usedAtMs } }
    return publish(this.#paths, this.#owner, file, { ...manifest, ...terms })
  }

  /** Publishes what a dead process left pending, unless it had come to the rename. */
  async finish(file: PendingFile): Promise<void> {
    if (standsInTmp(this.#paths, file)) {
      await this.publish(file)
    } else {
      // The rename has happened; whether it was synced nobody can tell any more.
      await syncDirectories(this.#paths.generatorTmp, this.#paths.inbox)
    }
  }
}
