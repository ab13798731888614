import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DiskWatch } from '../../../parser/disk-watch.ts'
import { OwnDirectories } from '../../../parser/own-directories.ts'
import { FileReader } from '../../../parser/reading/file-reader.ts'
import { readConfig } from '../../../shared/config.ts'
import { workName } from '../../../shared/paths.ts'
import { eventually } from '../../shared/helpers.ts'
import { eventsToldTo, openScene } from '../helpers.ts'
import { entryOf } from '../journal/helpers.ts'

// Files that cannot be opened, and are not to blame.

/** A file that is quickly judged, once it is seen: it is none. */
function scene(t: Test) {
  const { paths, journal, log } = openScene(t)
  const events = eventsToldTo(log)
  const directories = new OwnDirectories(paths, events, log)
  const reader = new FileReader({
    ...{ paths, config: readConfig({}), journal, directories, events, log },
    ...{
      disk: new DiskWatch({ directories: [], reserveBytes: 0, events }),
      isDecidedByRow: () => false,
      sumBytesMax: 2 ** 20,
    },
  })
  t.teardown(() => reader.close())
  const entry = entryOf(1, { name: 'f' })
  mkdirSync(join(paths.work, workName(1, 'f')))
  journal.claim([entry])
  const read = () => reader.read([entry], new AbortController().signal)
  return { paths, directories, read }
}

const JUDGED = [{ kind: 'quarantine', reason: { text: /not a regular file/ }, isMissing: false }]

t.test('under another mount work/ is waited for, and its files are not called missing', async t => {
  const { paths, directories, read } = scene(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'none', paths.work], { stdio: 'ignore' })
  } catch {
    t.pass('nothing can be mounted here')
    return
  }
  const reading = read()
  await eventually('it says what it waits for', () => directories.reason !== undefined)
  t.match(directories.reason, /work and the directories .* two filesystems/)
  execFileSync('umount', [paths.work])
  const { verdicts } = await reading
  t.match(verdicts, JUDGED)
})

t.test('a file waits for a descriptor, and the process goes on', async t => {
  const { read } = scene(t)
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    // All are taken.
  }
  try {
    t.match(await read(), {
      ...{ verdicts: [], left: { entries: [{ name: 'f' }], reason: /EMFILE/ } },
    })
  } finally {
    for (const fd of taken) closeSync(fd)
  }
  t.match((await read()).verdicts, JUDGED)
})
