import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MANIFEST_SUFFIX, type StatePaths } from '../../shared/paths.ts'
import { openChannel } from '../../shared/socket/connecting.ts'
import { amountOf, linesOf, sha256Of } from '../helpers/files.ts'
import type { PlannedFile } from './contents.ts'

/** Puts planned files into the inbox, each once, as somebody who knows nothing of the parser. */
export class Publisher {
  readonly #paths: StatePaths
  #left: readonly PlannedFile[]
  readonly #announcements = new Set<Promise<void>>()

  constructor(paths: StatePaths, files: readonly PlannedFile[]) {
    this.#paths = paths
    this.#left = files
  }

  get isDone(): boolean {
    return this.#left.length === 0
  }

  /** Whether files are still to come in this life. */
  hasFor(life: number): boolean {
    return this.#left.some(file => file.life <= life)
  }

  /** Publishes what is due; a name that still stands in the inbox has to wait. */
  publish(isDue: (file: PlannedFile) => boolean): void {
    for (const file of this.#left.filter(isDue)) {
      if (readdirSync(this.#paths.inbox).includes(file.name)) continue
      this.#left = this.#left.filter(one => one !== file)
      if (file.manifest !== undefined) this.#place(`${file.name}${MANIFEST_SUFFIX}`, file.manifest)
      this.#place(file.name, file.content)
      if (file.isAnnounced) this.#announce(file)
    }
  }

  /** Announcements that nobody will answer any more have ended too. */
  async settled(): Promise<void> {
    await Promise.all(this.#announcements)
  }

  #place(name: string, content: string | Buffer): void {
    const hidden = join(this.#paths.inbox, `.${name}`)
    writeFileSync(hidden, content)
    renameSync(hidden, join(this.#paths.inbox, name))
  }

  /** A hint that may be lost: what becomes of the file must not depend on it. */
  #announce(file: PlannedFile): void {
    const announcement = announce(this.#paths, file)
      .catch(() => {
        // Nobody listens, or died before the answer.
      })
      .finally(() => this.#announcements.delete(announcement))
    this.#announcements.add(announcement)
  }
}

async function announce(paths: StatePaths, { name, content, fault }: PlannedFile): Promise<void> {
  const channel = await openChannel(paths.parserSocket, 'generator', { onMessage: () => {} })
  const numbers =
    fault === undefined ? { lines: linesOf(content), amount: String(amountOf(content)) } : {}
  try {
    await channel.request<'ack'>({
      type: 'announce',
      name,
      sizeBytes: content.length,
      sha256: sha256Of(content),
      ...numbers,
    })
  } finally {
    channel.close()
  }
}
