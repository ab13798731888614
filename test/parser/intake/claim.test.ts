import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
} from 'node:fs'
import { constants, open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type Candidate, claimFiles } from '../../../parser/intake/claim.ts'
import { Journal } from '../../../parser/journal/journal.ts'
import { OwnedJournal } from '../../../parser/journal/owned-journal.ts'
import { identityOf } from '../../../shared/file-identity.ts'
import { formatManifest } from '../../../shared/manifest.ts'
import { MANIFEST_SUFFIX, type StatePaths, workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { drop, manifestOf, openScene, sha256 } from '../helpers.ts'

/** As if each had been synced as it is now. */
function synced({ inbox }: StatePaths, ...names: string[]): Candidate[] {
  return names.map(name => {
    const stats = lstatSync(join(inbox, name), { bigint: true, throwIfNoEntry: false })
    return { name, announced: undefined, sealed: stats && identityOf(stats) }
  })
}

t.test('files with and without a manifest leave the inbox for work/, durably known', async t => {
  const { paths, journal } = openScene(t)
  const manifest = manifestOf('1 2\n', { disposable: true })
  drop(paths.inbox, 'a', '1 2\n', manifest)
  drop(paths.inbox, 'ü', '3 4\n5 6\n')
  drop(paths.inbox, 'bad', 'x', '{"version":7}')
  drop(paths.inbox, 'stays')
  const results = await claimFiles(synced(paths, 'a', 'none', 'ü', 'bad'), paths, journal)
  t.match(results, [
    { kind: 'claimed', entry: { sequence: 1_000, name: 'a', sizeBytes: 4, disposable: true } },
    { kind: 'gone' },
    { kind: 'claimed', entry: { sequence: 1_001, name: 'ü', sizeBytes: 8, disposable: false } },
    { kind: 'claimed', entry: { sequence: 1_002, manifestProblem: String, expected: undefined } },
  ])
  t.same(readdirSync(paths.inbox), ['stays'])
  t.same(
    readdirSync(paths.work).sort(),
    [
      workName(1_000, 'a'),
      workName(1_000, 'a') + MANIFEST_SUFFIX,
      workName(1_001, 'ü'),
      workName(1_002, 'bad'),
      workName(1_002, 'bad') + MANIFEST_SUFFIX,
    ].sort(),
  )
  t.equal(readFileSync(join(paths.work, workName(1_001, 'ü')), 'utf8'), '3 4\n5 6\n')
  const { disposable: _disposable, ...expected } = manifest
  t.match(journal.queued(1_000), { stage: 'claimed', expected })
  t.match(journal.queued(1_001), { stage: 'claimed', expected: undefined })
  t.equal(journal.queued(1_003), undefined)
  t.equal(journal.nextSequence, 1_003)
})

t.test('an announcement vouches for a file; a manifest beside it counts for more', async t => {
  const { paths, journal } = openScene(t)
  const announced = { sha256: sha256('x'), sizeBytes: 9, lines: undefined, amount: 7n }
  drop(paths.inbox, 'a')
  drop(paths.inbox, 'b', '1 2\n', manifestOf('1 2\n'))
  await claimFiles(
    synced(paths, 'a', 'b').map(one => ({ ...one, announced })),
    paths,
    journal,
  )
  t.same(journal.queued(1_000)?.expected, announced)
  t.match(journal.queued(1_001)?.expected, { sha256: sha256('1 2\n'), amount: 2n })
})

t.test('a name may come again', async t => {
  const { paths, journal } = openScene(t)
  for (const text of ['1 1\n', '2 2\n', '3 3\n']) {
    drop(paths.inbox, 'same', text)
    t.match(await claimFiles(synced(paths, 'same'), paths, journal), [{ kind: 'claimed' }])
  }
  const texts = [1_000, 1_001, 1_002].map(sequence =>
    readFileSync(join(paths.work, workName(sequence, 'same')), 'utf8'),
  )
  t.same(texts, ['1 1\n', '2 2\n', '3 3\n'])
  t.match(await claimFiles(synced(paths, 'same', 'same'), paths, journal), [
    { kind: 'gone' },
    { kind: 'gone' },
  ])
})

t.test('what is no regular file is left where it is', async t => {
  const { paths, journal } = openScene(t)
  mkdirSync(join(paths.inbox, 'directory'))
  symlinkSync('/etc/passwd', join(paths.inbox, 'link'))
  symlinkSync('/no/where', join(paths.inbox, 'dangling'))
  execFileSync('mkfifo', [join(paths.inbox, 'pipe')])
  const names = ['dangling', 'directory', 'link', 'pipe']
  for (const result of await claimFiles(synced(paths, ...names), paths, journal)) {
    t.equal(result.kind, 'unfit')
  }
  t.same(readdirSync(paths.inbox).sort(), names)
  t.equal(journal.nextSequence, 1_000, 'no sequence was used')
})

t.test('an odd thing in the place of a manifest does not stop the others', async t => {
  const { paths, journal } = openScene(t)
  drop(paths.inbox, 'a')
  mkdirSync(join(paths.inbox, `a${MANIFEST_SUFFIX}`))
  drop(paths.inbox, 'b')
  const [, b] = await claimFiles(synced(paths, 'a', 'b'), paths, journal)
  t.match(b, { kind: 'claimed' })
})

t.test('a pipe in the place of a manifest does not hold up the others', async t => {
  const { paths, journal } = openScene(t)
  drop(paths.inbox, 'a')
  const pipe = join(paths.inbox, `a${MANIFEST_SUFFIX}`)
  execFileSync('mkfifo', [pipe])
  drop(paths.inbox, 'b')
  let settled = false
  const claiming = claimFiles(synced(paths, 'a', 'b'), paths, journal).finally(() => {
    settled = true
  })
  await t.resolves(eventually('they are claimed', () => settled, 3_000))
  if (!settled) {
    // Whoever waits to open the pipe is let go, so that this process can end.
    const handle = await open(pipe, constants.O_RDWR | constants.O_NONBLOCK)
    await handle.close()
  }
  await claiming.catch(() => {})
})

t.test('a parser that was replaced moves nothing', async t => {
  const { paths, journal } = openScene(t)
  drop(paths.inbox, 'a', '1 2\n', manifestOf('1 2\n'))
  const successor = Journal.open(paths.journal)
  t.teardown(() => successor.close())
  await t.rejects(claimFiles(synced(paths, 'a'), paths, journal), { code: 'OWNERSHIP_LOST' })
  t.equal(readdirSync(paths.inbox).length, 2)
  t.match(await claimFiles(synced(paths, 'a'), paths, successor), [{ kind: 'claimed' }])
})

t.test('without a manifest only what was synced is claimed', async t => {
  const { paths, journal } = openScene(t)
  for (const name of ['never', 'grown', 'replaced', 'same']) drop(paths.inbox, name)
  const candidates = synced(paths, 'never', 'grown', 'replaced', 'same')
  appendFileSync(join(paths.inbox, 'grown'), '3 4\n')
  drop(paths.inbox, '.other')
  renameSync(join(paths.inbox, '.other'), join(paths.inbox, 'replaced'))
  const results = await claimFiles(
    candidates.map(one => (one.name === 'never' ? { ...one, sealed: undefined } : one)),
    paths,
    journal,
  )
  t.same(
    results.map(({ kind }) => kind),
    ['unsealed', 'unsealed', 'unsealed', 'claimed'],
  )
  t.same(readdirSync(paths.inbox).sort(), ['grown', 'never', 'replaced'])
  const { ino, mtimeNs } = candidates[3]!.sealed!
  t.match(journal.queued(1_000), { name: 'same', isPlain: true, identity: { ino, mtimeNs } })
})

t.test('manifest and data are claimed together or not at all', async t => {
  const { paths, journal } = openScene(t)
  const manifest = manifestOf('1 2\n')
  drop(paths.inbox, 'a', '1 2\n', manifest)
  drop(paths.inbox, 'b', '3 4\n', manifestOf('3 4\n'))
  // Its place is taken by what a rename cannot replace: the second rename fails, not the first.
  mkdirSync(join(paths.work, workName(1_000, 'a')))
  const [a, b] = await claimFiles(synced(paths, 'a', 'b'), paths, journal)
  t.match(a, { kind: 'stuck', why: /cannot be moved/ })
  t.match(b, { kind: 'claimed' }, 'the others go their way')
  t.same(readdirSync(paths.inbox), ['a', `a${MANIFEST_SUFFIX}`])
  const kept = readFileSync(join(paths.inbox, `a${MANIFEST_SUFFIX}`), 'utf8')
  t.equal(kept, formatManifest(manifest))

  drop(paths.inbox, 'c', '5 6\n', manifestOf('5 6\n'))
  mkdirSync(join(paths.work, workName(1_001, 'c') + MANIFEST_SUFFIX))
  t.match(await claimFiles(synced(paths, 'c'), paths, journal), [
    { kind: 'stuck', why: /^its manifest: .*cannot be moved/ },
  ])
  t.ok(existsSync(join(paths.inbox, 'c')), 'a manifest that cannot be moved leaves the data')
})

t.test('a manifest that came in the moment of the claim follows, if it fits', async t => {
  const { paths, journal } = openScene(t)
  const put = (name: string, text: string): void => {
    drop(paths.inbox, name + MANIFEST_SUFFIX, formatManifest(manifestOf(text)))
  }
  drop(paths.inbox, 'fits')
  drop(paths.inbox, 'other')
  const next = Object.getOwnPropertyDescriptor(OwnedJournal.prototype, 'nextSequence')!
  // Asked for when it is known that there is no manifest, and before the rename.
  let moment = (): void => {}
  Object.defineProperty(journal, 'nextSequence', {
    get() {
      moment()
      return next.get!.call(journal)
    },
  })
  moment = () => put('fits', '1 2\n')
  await claimFiles(synced(paths, 'fits'), paths, journal)
  t.match(journal.queued(1_000), { name: 'fits', isPlain: false, expected: { sizeBytes: 4 } })
  moment = () => put('other', '1 2\n3 4\n')
  await claimFiles(synced(paths, 'other'), paths, journal)
  t.match(journal.queued(1_001), { name: 'other', isPlain: true, expected: undefined })
  t.same(readdirSync(paths.inbox), [`other${MANIFEST_SUFFIX}`])
})
