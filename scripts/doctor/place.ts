import { accessSync, constants, existsSync, lstatSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { requireOneMount } from '../../parser/own-directories.ts'
import { archiveDay } from '../../shared/archive.ts'
import { systemReason } from '../../shared/errors.ts'
import { type Finding, fail, looked, ok, warn } from '../../shared/findings.ts'
import type { StatePaths } from '../../shared/paths.ts'
import { shellWord } from '../../shared/printable.ts'
import { requireRenamesBetween } from '../../shared/renames-between.ts'
import { refuseDirectoriesOfOthers } from '../../shared/state-directory.ts'
import { refuseOpenDirectory } from '../mariadb/index.ts'
import { refuseWhatIsDenied } from '../terminal/index.ts'
import { filesystemOf, unfitKind } from './filesystem.ts'

/** The state directory and those in it: whose they are, and whether files can be moved between them. */
export async function examinePlace(
  paths: StatePaths,
  isPrivate: boolean,
): Promise<readonly Finding[]> {
  const { dir, run, log } = paths
  if (!existsSync(dir)) return [await looked('state directory', () => lookAtPlaceOf(dir))]
  const owned = [dir, run, log].filter(path => existsSync(path))
  return [
    await looked('state directory', async () => {
      await refuseDirectoriesOfOthers(...owned)
      const { mode } = statSync(dir)
      return (mode & 0o022) === 0
        ? `${dir}, mode ${octal(mode)}`
        : warn(
            'state directory',
            `others may write to ${dir} (mode ${octal(mode)})`,
            `chmod go-w ${shellWord(dir)}`,
          )
    }),
    ...(isPrivate && existsSync(run)
      ? [await looked('way to the private database', () => closed(run))]
      : []),
    await looked('directories', () => lookAtDirectories(paths)),
    await looked('mounts', () => lookAtMounts(paths), ...mountsBelow(paths)),
    await looked('filesystem', () => lookAtFilesystem(dir)),
    // Names that are too long end all that has to do with the directory.
    ok('socket path', paths.parserSocket),
  ]
}

async function closed(run: string): Promise<string> {
  await refuseOpenDirectory(run)
  return `${run} is closed to others`
}

/** What nobody else can be asked about who may not look into it; undefined: this user may. */
export async function whyDenied(paths: StatePaths): Promise<Finding | undefined> {
  const asItsUser = `sudo -u '#${ownerOf(paths.dir)}' countersink doctor --dir ${shellWord(paths.dir)}`
  const found = await looked(
    'state directory',
    () => {
      refuseWhatIsDenied(paths)
      return 'it may be looked into'
    },
    asItsUser,
  )
  return found.isKnown ? undefined : found
}

function ownerOf(dir: string): number {
  try {
    return statSync(dir).uid
  } catch {
    // One of the directories above it is closed, or there is none yet.
    return 0
  }
}

/** It is made at the first start, where that is allowed. */
function lookAtPlaceOf(dir: string): string | Finding {
  let above = dirname(dir)
  while (!existsSync(above)) above = dirname(above)
  const user = process.geteuid?.() ?? 0
  const make = `install -d -m 700 -o ${user} ${shellWord(dir)}`
  try {
    accessSync(above, constants.W_OK | constants.X_OK)
    return `${dir} is not there yet; the first start makes it`
  } catch (error) {
    return fail('state directory', `${dir} cannot be made: ${systemReason(error)}`, make)
  }
}

function lookAtDirectories(paths: StatePaths): string | Finding {
  const { inbox, work, archive, archiveDisposable, quarantine, duplicate, reverted, held } = paths
  const all = [
    ...[inbox, work, archive, archiveDisposable, quarantine, duplicate, reverted, held],
    ...[paths.parser, paths.runs, paths.generator, paths.generatorTmp, paths.run, paths.log],
    ...[archive, archiveDisposable].flatMap(daysThere),
  ]
  let there = 0
  for (const path of all) {
    const link = lstatSync(path, { throwIfNoEntry: false })
    if (link === undefined) continue
    there += 1
    const what = statSync(path, { throwIfNoEntry: false })
    if (what === undefined || !what.isDirectory()) {
      const how = what === undefined ? 'is a link that leads nowhere' : 'is not a directory'
      return fail(
        'directories',
        `${path} ${how}`,
        `mv ${shellWord(path)} ${shellWord(`${path}.put-aside`)}`,
      )
    }
    try {
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (error) {
      const user = process.geteuid?.() ?? 0
      return fail(
        'directories',
        `${path} cannot be used: ${systemReason(error)}`,
        `chown ${user} ${shellWord(path)}`,
        `chmod u+rwx ${shellWord(path)}`,
      )
    }
  }
  const made = all.length - there
  return made === 0
    ? `all ${there} can be used`
    : `${there} can be used, ${made} are made at a start`
}

/** The directories of today, as far as they are there: the others are made when a file comes. */
function daysThere(archive: string): string[] {
  const [year = '', month = '', day = ''] = archiveDay(Date.now()).split('/')
  const paths = [join(archive, year), join(archive, year, month), join(archive, year, month, day)]
  return paths.filter(path => lstatSync(path, { throwIfNoEntry: false }) !== undefined)
}

function lookAtMounts(paths: StatePaths): string {
  requireOneMount(paths, existsSync)
  const { generatorTmp, inbox } = paths
  if (existsSync(generatorTmp) && existsSync(inbox)) requireRenamesBetween(generatorTmp, inbox)
  return 'files can be renamed between all that are there'
}

/** What undoes the mounts within the state directory. */
function mountsBelow({ dir, ...paths }: StatePaths): readonly string[] {
  const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')
  const points = Object.values(paths).map(path => filesystemOf(path, mountinfo)?.mountPoint ?? '')
  const below = new Set(points.filter(point => point.startsWith(`${dir}/`)))
  return [...below].map(point => `umount ${shellWord(point)}`)
}

function lookAtFilesystem(dir: string): string | Finding {
  const found = filesystemOf(dir, readFileSync('/proc/self/mountinfo', 'utf8'))
  if (found === undefined) return 'not told'
  const why = unfitKind(found.kind)
  if (why === undefined) return `${found.kind}, mounted on ${found.mountPoint}`
  const text = `${dir} is on ${found.kind} (mounted on ${found.mountPoint}): ${why.text}`
  return (why.isFatal ? fail : warn)(
    'filesystem',
    text,
    `cp -a ${shellWord(dir)} /var/lib/countersink`,
  )
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}
