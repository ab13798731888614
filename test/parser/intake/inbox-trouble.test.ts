import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { MANIFEST_SUFFIX, workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { drop, manifestOf } from '../helpers.ts'
import { announceOf, scene } from './inbox-scene.ts'

// What cannot be taken, and what is not there, and who does not have to wait for it.

t.test('one that cannot be synced is refused, and the others are not', async t => {
  const { paths, inbox, sealer, log, start } = scene(t)
  await start()
  for (const name of ['bad', 'good']) drop(paths.inbox, name, `${name.length} 2\n`)
  const seal = sealer.seal.bind(sealer)
  sealer.seal = (path, identity) =>
    /bad$/.test(path) ? Promise.resolve({ kind: 'failed', why: 'EIO' }) : seal(path, identity)
  const [bad, good] = await Promise.all(['bad', 'good'].map(n => inbox.announce(announceOf(n))))
  t.match(bad, { outcome: 'refused', reason: /synced: EIO/ })
  t.match(good, { outcome: 'accepted' })
  t.same(readdirSync(paths.inbox), ['bad'])
  t.same(log.warnedOf(), ['bad'])
})

t.test('one that cannot be moved is left, told of once, and holds up nobody', async t => {
  const { paths, inbox, journal, log, start } = scene(t, { scanIntervalMs: 50 })
  await start()
  mkdirSync(join(paths.work, workName(1_000, 'stuck')))
  drop(paths.inbox, 'stuck', '1 2\n', manifestOf('1 2\n'))
  t.match(await inbox.announce(announceOf('stuck')), { outcome: 'refused', reason: /moved/ })
  drop(paths.inbox, 'good', '3 4\n', manifestOf('3 4\n'))
  t.match(await inbox.announce(announceOf('good', '3 4\n')), { outcome: 'accepted' })
  t.match(journal.queued(1_000), { name: 'good' })
  t.same(readdirSync(paths.inbox), ['stuck', `stuck${MANIFEST_SUFFIX}`])
  t.same(
    log.warnedOf().filter(name => name === 'stuck'),
    ['stuck'],
  )
})

t.test('it is listed while it stays, and taken once it can be', async t => {
  const { paths, inbox, queue, scanner, start } = scene(t, { scanIntervalMs: 50 })
  await start()
  const obstacle = join(paths.work, workName(1_000, 'stuck'))
  mkdirSync(obstacle)
  drop(paths.inbox, 'stuck', '1 2\n', manifestOf('1 2\n'))
  await eventually('it is left', () => scanner.left !== undefined)
  t.match(scanner.left, {
    files: 1,
    reasons: [{ why: /cannot be moved \(E\w+: /, names: ['stuck'] }],
  })
  rmdirSync(obstacle)
  drop(paths.inbox, 'good')
  t.match(await inbox.announce(announceOf('good')), { outcome: 'accepted' })
  t.match(scanner.left, { files: 1 }, 'others come and go meanwhile')
  await eventually('it is taken', () => queue.files === 2)
  t.equal(scanner.left, undefined)
})

t.test('what stands in the place of a manifest leaves its data, whatever it is', async t => {
  const { paths, inbox, scanner, start } = scene(t, { scanIntervalMs: 50 })
  await start()
  const put: Record<string, (path: string) => void> = {
    directory: path => mkdirSync(path),
    link: path => symlinkSync('nowhere', path),
    pipe: path => execFileSync('mkfifo', [path]),
  }
  for (const [name, make] of Object.entries(put)) {
    make(join(paths.inbox, name + MANIFEST_SUFFIX))
    drop(paths.inbox, name)
    t.match(await inbox.announce(announceOf(name)), {
      outcome: 'refused',
      reason: /^left in the inbox: its manifest is not a regular file/,
    })
  }
  t.match(scanner.left, { files: 3, reasons: [{ files: 3, names: Object.keys(put) }] })
  drop(paths.inbox, 'good')
  t.match(await inbox.announce(announceOf('good')), { outcome: 'accepted' })
})

t.test('an inbox that goes away and comes back', async t => {
  const { paths, inbox, queue, scanner, log, start } = scene(t, { scanIntervalMs: 50 })
  await start()
  rmSync(paths.inbox, { recursive: true })
  await eventually('it is made again', () => existsSync(paths.inbox))
  drop(paths.inbox, 'a', '1 2\n', manifestOf('1 2\n'))
  await eventually('and looked into', () => queue.files === 1)
  rmSync(paths.inbox, { recursive: true })
  symlinkSync('inbox', paths.inbox)
  t.match(await inbox.announce(announceOf('b')), { outcome: 'later', reason: /ELOOP/ })
  await eventually('that it is away is known', () => scanner.awayBecause !== undefined)
  t.equal(scanner.left, undefined, 'no name is to blame')
  rmSync(paths.inbox)
  mkdirSync(paths.inbox)
  drop(paths.inbox, 'b', '3 4\n', manifestOf('3 4\n'))
  await eventually('it goes on', () => queue.files === 2)
  t.equal(log.lines.filter(({ message }) => /inbox is away/.test(message)).length, 1)
})

t.test('without work/ nothing is taken, and no file is called missing', async t => {
  const { paths, inbox, directories, start } = scene(t)
  await start()
  drop(paths.inbox, 'a', '1 2\n', manifestOf('1 2\n'))
  rmdirSync(paths.work)
  t.match(await inbox.announce(announceOf('a')), {
    ...{ outcome: 'refused', reason: /directory that it goes to is gone/ },
  })
  writeFileSync(paths.work, 'no directory')
  const stop = new AbortController()
  const waiting = directories.ready(stop.signal)
  await eventually('it is seen', () => directories.reason !== undefined)
  t.match(await inbox.announce(announceOf('a')), { outcome: 'later', reason: /not a directory/ })
  rmSync(paths.work)
  await waiting
  t.match(await inbox.announce(announceOf('a')), { outcome: 'accepted' })
})
