import { type DataFile, sha256Of, type Totals, totalsOf } from '../helpers/files.ts'
import type { PlannedFile } from './contents.ts'

/** What must be true when a history has come to its end, whatever happened on its way. */
export interface Expected {
  readonly totals: Totals
  /** The names that each content to be counted came under: one is applied, the others duplicates. */
  readonly counted: ReadonlyMap<string, { readonly file: DataFile; readonly names: string[] }>
  readonly quarantined: readonly DataFile[]
}

export function expectedOf(files: readonly PlannedFile[]): Expected {
  const counted = new Map<string, { file: DataFile; names: string[] }>()
  for (const file of files) {
    if (file.fault !== undefined) continue
    const sha256 = sha256Of(file.content)
    const known = counted.get(sha256)
    if (known === undefined) counted.set(sha256, { file, names: [file.name] })
    else known.names.push(file.name)
  }
  return {
    totals: totalsOf([...counted.values()].map(({ file }) => file)),
    counted,
    quarantined: files.filter(({ fault }) => fault !== undefined),
  }
}
