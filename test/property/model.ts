import { settledName } from '../../shared/paths.ts'
import { type DataFile, sha256Of, type Totals, totalsOf } from '../helpers/files.ts'
import type { PlannedFile } from './contents.ts'
import type { Foreign } from './database.ts'

/** What must be true when a history has come to its end, whatever happened on its way. */
export interface Expected {
  /** With what stood there before, and what somebody else has added. */
  readonly totals: Totals
  readonly opening: Totals
  /** The names that each content to be counted came under: one is applied, the others duplicates. */
  readonly counted: ReadonlyMap<string, { readonly file: DataFile; readonly names: string[] }>
  readonly quarantined: readonly DataFile[]
  /** Those of them that are as they must be, but rows of theirs were refused. */
  readonly refused: readonly DataFile[]
  /** Of all files whose sums may be recorded. */
  readonly contents: readonly Buffer[]
  /** What somebody else has added to the totals. */
  readonly raised: bigint
}

/** @param refused as which settled files stand in quarantine because rows of theirs were refused. */
export function expectedOf(
  files: readonly PlannedFile[],
  database: Foreign,
  refused: ReadonlySet<string>,
): Expected {
  const { opening, raise } = database
  const good = files.filter(({ fault }) => fault === undefined)
  const isRefused = (file: DataFile): boolean =>
    mustBeRefused(file, database) || refused.has(nameInPlace(file))
  const counted = new Map<string, { file: DataFile; names: string[] }>()
  for (const file of good.filter(one => !isRefused(one))) {
    const sha256 = sha256Of(file.content)
    const known = counted.get(sha256)
    if (known === undefined) counted.set(sha256, { file, names: [file.name] })
    else known.names.push(file.name)
  }
  const totals = new Map(opening)
  const add = (id: bigint, amount: bigint) => void totals.set(id, (totals.get(id) ?? 0n) + amount)
  for (const [id, sum] of totalsOf([...counted.values()].map(({ file }) => file))) add(id, sum)
  if (raise !== undefined) add(raise.id, raise.by)
  return {
    ...{ totals, opening, counted, raised: raise?.by ?? 0n },
    quarantined: files.filter(file => file.fault !== undefined || isRefused(file)),
    refused: good.filter(isRefused),
    contents: good.map(({ content }) => content),
  }
}

/** Files that nothing speaks against, and that were refused all the same. */
export function wronglyRefused(
  files: readonly PlannedFile[],
  database: Foreign,
  { refused, totals }: Expected,
): string[] {
  const { wasChanged, raise, ruled, room, opening } = database
  // What was there for a while may be gone by now.
  const isCertain = !wasChanged && raise === undefined && ruled === undefined
  const all = new Map(totalsOf(files.filter(({ fault }) => fault === undefined)))
  for (const [id, amount] of opening) all.set(id, (all.get(id) ?? 0n) + amount)
  const isTooMuch = (id: bigint, amount: bigint): boolean =>
    isCertain
      ? (totals.get(id) ?? 0n) + amount > room.amountMax
      : id === raise?.id || id === ruled || (all.get(id) ?? 0n) > room.amountMax || wasChanged
  return refused
    .filter(
      file =>
        !hasNoPlace(file, database) &&
        ![...totalsOf([file])].some(([id, amount]) => isTooMuch(id, amount)),
    )
    .map(({ name }) => `${name} is refused, and nothing speaks against it`)
}

/** Whether rows of it may have been refused, and are not any more. */
export function mayBeRefused(file: DataFile, { ruled }: Foreign): boolean {
  return ruled !== undefined && totalsOf([file]).has(ruled)
}

function mustBeRefused(file: DataFile, { room }: Foreign): boolean {
  return [...totalsOf([file])].some(([id, amount]) => id > room.idMax && amount > 0n)
}

/** Of a consumer that has nothing in a file it does not matter whether there is a row. */
function hasNoPlace(file: DataFile, { room }: Foreign): boolean {
  return [...totalsOf([file]).keys()].some(id => id > room.idMax)
}

/** In quarantine/. */
export function nameInPlace({ name, content }: DataFile): string {
  return settledName(name, Buffer.from(sha256Of(content), 'hex'))
}
