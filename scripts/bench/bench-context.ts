import { rm } from 'node:fs/promises'
import type { Build } from './builds.ts'
import type { Consumers } from './data/consumers.ts'
import { type KnownFile, makeFile, type Sums } from './data/make-file.ts'
import { type Row, sizeText } from './row.ts'
import type { Scale } from './scale.ts'
import type { Workspace } from './workspace.ts'

/** One line of a plot. */
export interface Series {
  readonly plot: 'file-size' | 'consumers' | 'workers'
  readonly label: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** One thing that `--only` can name: measures one row of the table, or a few that belong together. */
export interface Section {
  readonly name: string
  readonly summary: string
  /** What it needs on the disk at its worst instant, with a private MariaDB. */
  readonly diskBytes: (scale: Scale) => number
  run(bench: Bench): Promise<void>
}

/** Its system tables, its log, and room for a million totals. */
export const PRIVATE_MARIADB_BYTES = 1e9

/** What a section works with. */
export class Bench {
  readonly scale: Scale
  readonly workspace: Workspace
  /** Where DuckDB is; undefined: not installed. */
  readonly duckdb: string | undefined
  /** undefined: there is none to compare with. */
  readonly before: Build | undefined
  readonly row: (row: Row) => void
  readonly series: (series: Series) => void
  /** A line about what is going on. */
  readonly say: (text: string) => void
  readonly #files = new Map<string, KnownFile>()
  #seed = 0

  constructor(options: {
    scale: Scale
    workspace: Workspace
    duckdb: string | undefined
    before: Build | undefined
    row: (row: Row) => void
    series: (series: Series) => void
    say: (text: string) => void
  }) {
    this.scale = options.scale
    this.workspace = options.workspace
    this.duckdb = options.duckdb
    this.before = options.before
    this.row = options.row
    this.series = options.series
    this.say = options.say
  }

  /** A file that sections share, made when it is first asked for. */
  async sharedFile(sizeBytes: number, consumers: Consumers): Promise<KnownFile> {
    const key = `${sizeBytes} ${consumers.kind} ${consumers.count}`
    const known = this.#files.get(key) ?? (await this.newFile(sizeBytes, consumers))
    this.#files.set(key, known)
    return known
  }

  /** A file of contents that no other has. */
  newFile(sizeBytes: number, consumers: Consumers, totals?: Sums): Promise<KnownFile> {
    this.#seed += 1
    const name = `${consumers.kind}-${consumers.count}.txt`
    if (sizeBytes >= 64e6) {
      this.say(`making ${sizeText(sizeBytes)}, ${consumers.count} consumers, ${consumers.kind}`)
    }
    const plan = { sizeBytes, consumers, seed: this.#seed }
    return makeFile(this.workspace.path(name), plan, totals)
  }

  /** Removes the shared files: no later section needs them. */
  async dropSharedFiles(): Promise<void> {
    for (const { path } of this.#files.values()) await rm(path, { force: true })
    this.#files.clear()
  }

  /** After a section: ends what it may have left running, removes all but the shared files. */
  async clear(): Promise<void> {
    await this.workspace.clear(new Set([...this.#files.values()].map(({ path }) => path)))
  }
}
