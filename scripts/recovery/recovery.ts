import { join } from 'node:path'
import { knownContents, type RecordedContent, type Session } from '../../parser/ledger/index.ts'
import type { Config } from '../../shared/config.ts'
import { crashPoint } from '../../shared/crash-points.ts'
import { makeDirectories } from '../../shared/durable.ts'
import { statsIfLookedAt } from '../../shared/looks.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { rememberLedger } from '../../shared/remembered-ledger.ts'
import { type ArchivedFile, archivedFiles, type Inspection, inspect } from './archived-files.ts'
import { bringBack, type Returning, sweepDrafts } from './bring-back.ts'
import { type JournalRecords, putJournalAside } from './journal-records.ts'
import { findOnTheirWay, type OnTheirWay } from './on-their-way.ts'

/** What was found, for the exit status. */
export interface Found {
  /** Contents that were counted, and are neither in the ledger nor here. */
  readonly lost: number
  /** Archived files that are not what was archived. */
  readonly changed: number
}

/** What is found and done on the way, in this order as it happens; `end` is the last. */
export type Finding =
  | { readonly event: 'back'; readonly file: string }
  | { readonly event: 'changed'; readonly file: string; readonly reason: string }
  | {
      readonly event: 'lost'
      readonly sha256: string
      readonly name: string
      readonly amount: string
    }
  | { readonly event: 'journal-aside'; readonly path: string }
  | ({ readonly event: 'end'; readonly looked: number; readonly back: number } & Found & {
        readonly dryRun: boolean
      })

interface Recovery {
  readonly session: Session
  readonly paths: StatePaths
  readonly config: Config
  readonly journal: JournalRecords
  /** Of the ledger that is there; undefined when there is none, which lacks everything. */
  readonly ledgerUuid: string | undefined
  readonly isDryRun: boolean
  tell(finding: Finding): Promise<void>
}

/**
 * Brings back what the ledger lacks, says what cannot be brought back, and makes way for a journal
 * that is made from the ledger. A file whose content is in the ledger, be it in a batch that is not
 * finished, is left alone, and so is one whose content will certainly be counted already. Where that is
 * not certain it goes back: at worst it is a duplicate.
 *
 * The files go back group by group (see `bring-back.ts`); after them, what a crash leaves:
 *
 *   R4  this ledger remembered    The parser still refuses: its journal is bound to another, or ahead.
 *   R5  journal put aside         It is done; run again, it reads that journal and says the same.
 *
 * So until R5 is done the parser is kept from starting, and a run begins where the last one ended.
 */
export async function recoverFrom(recovery: Recovery): Promise<Found> {
  const { paths, config, journal, ledgerUuid, isDryRun, tell } = recovery
  const onTheirWay = await findOnTheirWay(paths)
  if (!isDryRun) {
    await makeDirectories(paths.inbox, paths.work)
    await sweepDrafts(paths)
  }
  const sum = { looked: 0, back: 0, changed: 0, lost: 0 }
  for await (const group of archivedFiles(paths, GROUP_FILES)) {
    sum.looked += group.length
    const lacking = await lackingOf(group, recovery)
    const { returning, linked, changed, lost } = await judge(lacking, journal, onTheirWay)
    for (const { entry, why } of changed) {
      await tell({ event: 'changed', file: entry, reason: why })
    }
    const back = [...returning.map(({ file }) => file), ...linked]
    for (const { entry } of back) await tell({ event: 'back', file: entry })
    if (!isDryRun) await bringBack(returning, linked, paths)
    sum.back += back.length
    sum.changed += changed.length
    sum.lost += lost
  }
  sum.lost += await tellLost(recovery, onTheirWay)
  if (!isDryRun) {
    await rememberLedger(paths.rememberedLedger, config, ledgerUuid)
    crashPoint('R4-ledger-remembered')
    const aside = await putJournalAside(paths)
    crashPoint('R5-journal-put-aside')
    if (aside !== undefined) await tell({ event: 'journal-aside', path: aside })
  }
  await tell({ event: 'end', ...sum, dryRun: isDryRun })
  return sum
}

/** Files looked at and moved together: as many share the syncs of directories. */
const GROUP_FILES = 64

/**
 * Those of the group whose content the ledger has no row of. The few digits in a name may be those of another
 * content; so a file that has not the name and the size of the row is read, unless more digits tell.
 */
async function lackingOf(
  group: readonly ArchivedFile[],
  { session, config, ledgerUuid }: Recovery,
): Promise<readonly ArchivedFile[]> {
  if (ledgerUuid === undefined) return group
  const known = await knownContents(
    session,
    config,
    group.map(({ hashPrefix }) => hashPrefix),
  )
  const lacking: ArchivedFile[] = []
  for (const file of group) {
    const alike = known.get(file.hashPrefix) ?? []
    if (alike.length === 0 || (await isAnother(file, alike))) lacking.push(file)
  }
  return lacking
}

async function isAnother(file: ArchivedFile, alike: readonly RecordedContent[]): Promise<boolean> {
  const { directory, entry, name, hashPrefix } = file
  if (hashPrefix.length >= TELLING_DIGITS) return false
  const sizeBytes = statsIfLookedAt(join(directory, entry))?.size
  if (alike.some(one => one.name === name && BigInt(one.sizeBytes) === sizeBytes)) return false
  const found = await inspect(file)
  return found.kind === 'whole' && alike.every(({ sha256 }) => sha256 !== found.sha256)
}

/** Of a hash: no two contents will ever have begun alike so far. */
const TELLING_DIGITS = 16

/**
 * Which of these go back: whole, not what another record is about, and not sure to be counted; `linked` are
 * on it under a second name. `lost` are changed ones that have no record in the journal, which would
 * tell them otherwise.
 */
async function judge(
  lacking: readonly ArchivedFile[],
  journal: JournalRecords,
  onTheirWay: OnTheirWay,
) {
  const inspected: { file: ArchivedFile; found: Inspection }[] = []
  for (const file of lacking) inspected.push({ file, found: await inspect(file) })
  const records = await journal.countedAlike(
    inspected.map(({ file, found }) => ({
      hashPrefix: file.hashPrefix,
      sha256: found.kind === 'whole' ? found.sha256 : undefined,
    })),
  )
  const returning: Returning[] = []
  const linked: ArchivedFile[] = []
  const changed: { entry: string; why: string }[] = []
  let lost = 0
  for (const [i, { file, found }] of inspected.entries()) {
    const alike = records[i] ?? []
    if (found.kind === 'gone') continue
    if (found.kind === 'changed') {
      changed.push({ entry: file.entry, why: found.why })
      if (alike.length === 0) lost += 1
      continue
    }
    const { sha256, sizeBytes, key } = found
    if (alike.length > 0 && !alike.includes(sha256)) {
      const why = `its content is ${sha256} today, ${alike[0]} was counted`
      changed.push({ entry: file.entry, why })
      continue
    }
    if (key !== undefined && onTheirWay.linked.has(key)) linked.push(file)
    else if (!onTheirWay.certain.has(sha256)) returning.push({ file, sha256, sizeBytes })
    onTheirWay.certain.add(sha256)
    onTheirWay.contents.add(sha256)
  }
  const usedAtMs = await journal.usedAtMs(returning.map(({ sha256 }) => sha256))
  const used = returning.map((one, i) => ({ ...one, usedAtMs: usedAtMs[i] }))
  return { returning: used, linked, changed, lost }
}

/** Counted according to the journal, in neither the ledger nor a file that is on its way. */
async function tellLost(
  { session, config, journal, ledgerUuid, tell }: Recovery,
  { contents }: OnTheirWay,
): Promise<number> {
  let lost = 0
  for await (const files of journal.counted()) {
    const absent = files.filter(({ sha256 }) => !contents.has(sha256))
    const hashes = absent.map(({ sha256 }) => sha256)
    const known =
      ledgerUuid === undefined ? new Map() : await knownContents(session, config, hashes)
    for (const { sha256, name, amount } of absent) {
      if (known.has(sha256)) continue
      lost += 1
      await tell({ event: 'lost', sha256, name, amount })
    }
  }
  return lost
}
