import { opendir, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readJournal } from '../../parser/journal/reading.ts'
import type { Session } from '../../parser/ledger/connection.ts'
import { countedWithPrefix } from '../../parser/ledger/recovery.ts'
import { openLedger } from '../../parser/ledger/schema/opening.ts'
import type { Config } from '../../shared/config.ts'
import { replaceFile, syncDirectories } from '../../shared/durable.ts'
import { hasCode } from '../../shared/errors.ts'
import { formatManifest } from '../../shared/manifest.ts'
import { MANIFEST_SUFFIX, parseSettledName, type StatePaths } from '../../shared/paths.ts'
import type { ProcessedFile } from '../../shared/protocol.ts'
import { type Command, DIR_HELP, EXIT, environment, parseOptions } from '../cli.ts'
import { withDatabaseAtRest } from '../database-at-rest.ts'
import { hashFile } from '../hash-file.ts'
import { print } from '../sources.ts'

export const recover: Command = {
  name: 'recover',
  summary: 'count again what a restored or replaced MariaDB lacks',
  help: `
Usage: countersink recover [--dir D] [--dry-run]

For when the parser refuses to start because MariaDB is older than its journal (restored from a
backup) or is another one. Looks at every archived file; those whose content the ledger lacks go
back into the inbox, to be counted at the next start. The journal is put aside and made anew from
the ledger then. Nothing may be running in the state directory.

What the journal says was counted, but neither the ledger nor the archive has any more, is listed:
its content must be brought in again from elsewhere.

Exit status: 0 everything is counted or back in the inbox; 1 some contents are lost here; 3 it could
not be done.

${DIR_HELP}
  --dry-run          only say what would be done
`,
  async run(args) {
    const { values } = parseOptions(args, { 'dry-run': { type: 'boolean', default: false } })
    const { paths, config } = environment(values.dir)
    return withDatabaseAtRest(paths, config, async session => {
      await openLedger(session, config)
      return recoverFrom(session, paths, config, values['dry-run'])
    })
  },
}

/**
 * Steps, and what a crash after each leaves: files are renamed from the archive to the inbox one by
 * one, each behind its manifest (the next run goes on with the others; what is back already is
 * counted or waits), then the journal is renamed aside (the parser starts with a new one).
 */
async function recoverFrom(
  session: Session,
  paths: StatePaths,
  config: Config,
  isDryRun: boolean,
): Promise<number> {
  const requeued = new Set<string>()
  let looked = 0
  for (const directory of [paths.archive, paths.archiveDisposable, paths.duplicate]) {
    for await (const { name: archived } of (await ifThere(opendir(directory))) ?? []) {
      const settled = parseSettledName(archived)
      if (settled === undefined) continue
      looked += 1
      if (requeued.has(settled.hashPrefix)) continue
      if (await countedWithPrefix(session, config, settled.hashPrefix)) continue
      requeued.add(settled.hashPrefix)
      await print(`back to the inbox  ${archived}\n`)
      if (!isDryRun) {
        // Equal names must not meet in the inbox: the second keeps the one that carries the hash.
        const isFree = (await ifThere(stat(join(paths.inbox, settled.name)))) === undefined
        const name = isFree ? settled.name : archived
        const inInbox = join(paths.inbox, name)
        const isDisposable = directory === paths.archiveDisposable
        await vouchFor(join(directory, archived), inInbox, isDisposable)
        await rename(join(directory, archived), inInbox)
      }
    }
    if (!isDryRun && requeued.size > 0) await syncDirectories(directory, paths.inbox)
  }
  const lost = await lostContents(session, paths, config, requeued)
  for (const file of lost) {
    await print(`LOST HERE          ${file.sha256}  ${file.name}  amount ${file.amount}\n`)
  }
  if (!isDryRun) await putJournalAside(paths)
  await print(
    `${looked} archived files looked at, ${requeued.size} ${isDryRun ? 'would go' : 'went'} back to the inbox, ${lost.length} contents are lost here\n`,
  )
  return lost.length === 0 ? EXIT.ok : EXIT.no
}

/**
 * A manifest for a file that comes back: it is whole, though its last line may have no line end, and
 * a generated one may be deleted again.
 */
async function vouchFor(path: string, inInbox: string, disposable: boolean): Promise<void> {
  const { size: sizeBytes } = await stat(path)
  const sha256 = await hashFile(path)
  const manifest = { sizeBytes, sha256, lines: undefined, amount: undefined, disposable }
  await replaceFile(`${inInbox}${MANIFEST_SUFFIX}`, formatManifest(manifest))
}

/** Counted according to the journal, in neither the ledger nor the archive. */
async function lostContents(
  session: Session,
  paths: StatePaths,
  config: Config,
  requeued: ReadonlySet<string>,
): Promise<ProcessedFile[]> {
  const applied: ProcessedFile[] = []
  await readJournal(paths.journal, (view, state) => {
    for (let number = 1; number < state.nextNumber; number += 1) {
      const file = view.processed(number)
      if (file?.outcome === 'applied') applied.push(file)
    }
  })
  const inWork = ((await ifThere(readdir(paths.work))) ?? []).join('\n')
  const lost: ProcessedFile[] = []
  for (const file of applied) {
    const prefix = file.sha256.slice(0, 16)
    if (requeued.has(prefix) || inWork.includes(`.${file.name}`)) continue
    if (!(await countedWithPrefix(session, config, file.sha256))) lost.push(file)
  }
  return lost
}

async function putJournalAside(paths: StatePaths): Promise<void> {
  if ((await ifThere(stat(paths.journal))) === undefined) return
  const aside = `${paths.journal}.before-recovery-${new Date().toISOString().replace(/[:.]/g, '')}`
  await rename(paths.journal, aside)
  await syncDirectories(paths.parser)
  await print(`the journal was put aside as ${aside}\n`)
}

async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
