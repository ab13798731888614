import { execFileSync } from 'node:child_process'
import { mkdirSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  makeOwnDirectories,
  OwnDirectories,
  requireOneMount,
} from '../../parser/own-directories.ts'
import { eventually, failureOf } from '../shared/helpers.ts'
import { drop, eventsToldTo, openScene } from './helpers.ts'

t.test('directories of one mount are fit, and nothing is left of the trial', async t => {
  const { paths } = openScene(t)
  drop(paths.inbox, 'a')
  requireOneMount(paths)
  t.same([...listed(paths.inbox), ...listed(paths.work)], ['a'])
})

t.test('a directory for runs that is denied to us is waited for', async t => {
  const { paths, log } = openScene(t)
  mkdirSync(paths.runs)
  const directories = new OwnDirectories(paths, eventsToldTo(log), log)
  // Root is denied nothing else.
  const isRoot = process.geteuid?.() === 0
  const [deny, allow] = isRoot ? ['chattr +i', 'chattr -i'] : ['chmod 500', 'chmod 700']
  const change = (how: string) => execFileSync(how.split(' ')[0]!, [how.split(' ')[1]!, paths.runs])
  try {
    change(deny!)
  } catch {
    t.pass('nothing can be denied here')
    return
  }
  try {
    const waiting = directories.ready(new AbortController().signal)
    await eventually('it says what it waits for', () => directories.reason !== undefined)
    t.match(directories.reason, /runs cannot be used: (EPERM|EACCES)/)
    change(allow!)
    await waiting
  } finally {
    change(allow!)
  }
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
