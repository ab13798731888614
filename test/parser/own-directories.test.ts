import { execFileSync } from 'node:child_process'
import { mkdirSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DiskWatch } from '../../parser/disk-watch.ts'
import {
  makeOwnDirectories,
  OwnDirectories,
  requireOneMount,
} from '../../parser/own-directories.ts'
import { FileReader } from '../../parser/reading/file-reader.ts'
import { readConfig } from '../../shared/config.ts'
import { workName } from '../../shared/paths.ts'
import { eventually, failureOf } from '../shared/helpers.ts'
import { drop, openScene } from './helpers.ts'
import { entryOf } from './journal/helpers.ts'

t.test('directories of one mount are fit, and nothing is left of the trial', async t => {
  const { paths } = openScene(t)
  drop(paths.inbox, 'a')
  requireOneMount(paths)
  t.same([...listed(paths.inbox), ...listed(paths.work)], ['a'])
})

t.test('what stands in the place of a directory is named, and no start would help', async t => {
  const { paths } = openScene(t)
  rmdirSync(paths.inbox)
  for (const put of [
    () => symlinkSync('/nowhere/at/all', paths.inbox),
    () => writeFileSync(paths.quarantine, ''),
  ]) {
    rmdirSync(paths.quarantine)
    put()
    t.match(await failureOf(makeOwnDirectories(paths.quarantine, paths.inbox)), {
      ...{ code: 'STATE_DIRECTORY_UNFIT', exitCode: 78, message: /(inbox|quarantine) cannot be/ },
    })
  }
})

t.test('under another mount work/ is waited for, and its files are not called missing', async t => {
  const { paths, journal, log } = openScene(t)
  const directories = new OwnDirectories(paths, log)
  const reader = new FileReader({
    ...{ paths, config: readConfig({}), journal, directories, log, onProgress: () => {} },
    ...{ disk: new DiskWatch({ directories: [], reserveBytes: 0, log }), sumBytesMax: 2 ** 20 },
  })
  t.teardown(() => reader.close())
  const entry = entryOf(1, { name: 'f' })
  // Quickly judged, once it is seen.
  mkdirSync(join(paths.work, workName(1, 'f')))
  journal.claim([entry])
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'none', paths.work], { stdio: 'ignore' })
  } catch {
    t.pass('nothing can be mounted here')
    return
  }
  const reading = reader.read([entry], new AbortController().signal)
  await eventually('it says what it waits for', () => directories.reason !== undefined)
  t.match(directories.reason, /work and the directories .* two filesystems/)
  execFileSync('umount', [paths.work])
  const { verdicts } = await reading
  t.match(verdicts, [{ kind: 'quarantine', reason: /not a regular file/, isMissing: false }])
})

const MOUNTS = { bind: ['--bind'], tmpfs: ['-t', 'tmpfs', '-o', 'size=1m'] }

for (const [kind, options] of Object.entries(MOUNTS)) {
  t.test(`a mount (${kind}) between them is refused, naming both`, async t => {
    const { paths } = openScene(t)
    for (const directory of [paths.inbox, paths.quarantine]) {
      const source = kind === 'bind' ? paths.run : 'none'
      try {
        execFileSync('mount', [...options, source, directory], { stdio: 'ignore' })
      } catch {
        t.pass('nothing can be mounted here')
        return
      }
      try {
        const refused = await failureOf(() => requireOneMount(paths))
        t.match(refused, { code: 'STATE_DIRECTORY_UNFIT', message: /mounts|two filesystems/ })
        t.match(refused, { message: new RegExp(`${directory} and ${paths.dir}/`) })
      } finally {
        execFileSync('umount', [directory])
      }
    }
    requireOneMount(paths)
  })
}

function listed(directory: string): string[] {
  return execFileSync('ls', ['-A', join(directory)], { encoding: 'utf8' })
    .split('\n')
    .filter(name => name !== '')
}
