import { readdir, rename, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readJournal } from '../../parser/journal/index.ts'
import { syncDirectory } from '../../shared/durable.ts'
import { hasCode } from '../../shared/errors.ts'
import type { StatePaths } from '../../shared/paths.ts'
import type { ContentAnswer, ProcessedFile } from '../../shared/protocol.ts'

/**
 * What the journal knows, for `recover`: read a page at a time, for it may have a record for each of
 * millions of contents.
 *
 * When there is none, the one is read that a recovery has put aside and no parser has replaced yet:
 * so a recovery that is run again says the same again.
 */
export class JournalRecords {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  static async find(paths: StatePaths): Promise<JournalRecords> {
    if (await isThere(join(paths.journal, 'data.mdb'))) return new JournalRecords(paths.journal)
    const aside = (await readdir(paths.parser)).filter(name => name.startsWith(asidePrefix(paths)))
    return new JournalRecords(join(paths.parser, aside.sort().at(-1) ?? basename(paths.journal)))
  }

  /** '' when it was never bound to one. */
  async ledgerUuid(): Promise<string> {
    return (await readJournal(this.#path, (_view, state) => state.ledgerUuid)) ?? ''
  }

  /**
   * For each of these, the contents that the journal has counted whose hash begins alike: it itself,
   * or at most two others.
   */
  async countedAlike(
    contents: readonly { readonly sha256: string | undefined; readonly hashPrefix: string }[],
  ): Promise<string[][]> {
    const found = await readJournal(this.#path, view =>
      contents.map(({ sha256, hashPrefix }) => {
        if (sha256 !== undefined && view.content(Buffer.from(sha256, 'hex'))?.applied) {
          return [sha256]
        }
        const { matches } = view.answer({ kind: 'content', prefix: hashPrefix }) as ContentAnswer
        return matches.filter(({ applied }) => applied !== undefined).map(one => one.sha256)
      }),
    )
    return found ?? contents.map(() => [])
  }

  /** When what each of these contents tells of was used, as far as it is known. */
  async usedAtMs(contents: readonly string[]): Promise<(number | undefined)[]> {
    const found = await readJournal(this.#path, view =>
      contents.map(sha256 => {
        const { matches } = view.answer({ kind: 'content', prefix: sha256 }) as ContentAnswer
        const file = matches[0]?.applied ?? matches[0]?.last
        return file && (file.usedAtMs ?? file.claimedAtMs)
      }),
    )
    return found ?? contents.map(() => undefined)
  }

  /** Pages of the records of all counted files, oldest first. */
  async *counted(): AsyncGenerator<ProcessedFile[]> {
    for (let from = 1; ; from += RECORDS_AT_ONCE) {
      const page = await readJournal(this.#path, (view, state) => {
        if (from >= state.nextNumber) return undefined
        const files: ProcessedFile[] = []
        for (let number = from; number < from + RECORDS_AT_ONCE; number += 1) {
          const file = view.processed(number)
          if (file?.outcome === 'applied') files.push(file)
        }
        return files
      })
      if (page === undefined) return
      yield page
    }
  }
}

/** The last step of a recovery. @returns where it is now; undefined when there was none. */
export async function putJournalAside(paths: StatePaths): Promise<string | undefined> {
  if (!(await isThere(paths.journal))) return undefined
  const time = new Date().toISOString().replace(/[:.]/g, '')
  const aside = join(paths.parser, `${asidePrefix(paths)}${time}`)
  await rename(paths.journal, aside)
  await syncDirectory(paths.parser)
  return aside
}

const RECORDS_AT_ONCE = 5_000

function asidePrefix(paths: StatePaths): string {
  // Without a dot: LMDB takes a path that ends like a file's name for one.
  return `${basename(paths.journal)}-before-recovery-`
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}
