/**
 * What a power cut leaves of files that nobody has synced: the state directory lies on a filesystem
 * of its own, which is shut down without writing anything more. Needs to be root and a loop device;
 * is skipped elsewhere.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { drop, seededFile, sha256Of } from '../helpers/files.ts'
import {
  archivedIn,
  archivedPath,
  assertEverythingAddsUp,
  list,
  processedFiles,
} from '../helpers/invariants.ts'
import { spawnParser, startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite, type Site } from '../helpers/state-dir.ts'
import { queueOf } from './scene.ts'

const why = whyNot()
t.test('a power cut', { skip: why ?? false }, async t => {
  const server = await startDatabaseServer(t)

  t.test('after the claim: what is claimed is there, or it is noticed', async t => {
    const site = await makeSite(t, server)
    const disk = mountOver(t, site)
    await server.kill()
    // Without a database it takes files and reads none.
    const parser = spawnParser(t, site)
    const plain = seededFile('plain', 1, { lines: 5_000 })
    const vouched = seededFile('vouched', 2, { lines: 5_000 })
    drop(site.paths, [plain], { manifest: false })
    drop(site.paths, [vouched])
    await eventually('both are claimed', async () => (await queueOf(site)).length === 2)
    disk.cutPower()
    parser.signal('SIGKILL')
    await parser.ended
    disk.mountAgain()
    const bytes = new Map(
      list(site.paths.work).map(name => [
        name.split('.')[1],
        statSync(join(site.paths.work, name)).size,
      ]),
    )
    t.equal(bytes.get('plain'), plain.content.length, 'it was synced before it was claimed')
    const isWhole = bytes.get('vouched') === vouched.content.length
    t.comment(`the one with a manifest has ${bytes.get('vouched')} bytes`)
    await server.start()
    const next = await startParser(t, site)
    await next.untilSettled(2)
    await stopProgram(next)
    const left = { ...vouched, content: vouched.content.subarray(0, bytes.get('vouched')) }
    await assertEverythingAddsUp(t, site, [
      [plain, 'applied'],
      [left, isWhole ? 'applied' : 'quarantined'],
    ])
    const { reason } = (await processedFiles(site)).find(({ name }) => name === 'vouched') ?? {}
    if (!isWhole) t.match(reason, /^CHANGED_AFTER_CLAIM: \d+ bytes were claimed, now it has 0$/)
  })

  t.test('after it was counted: the archive has what was counted', async t => {
    const site = await makeSite(t, server)
    const disk = mountOver(t, site)
    const parser = await startParser(t, site)
    const plain = seededFile('plain', 3, { lines: 5_000 })
    drop(site.paths, [plain], { manifest: false })
    await parser.untilSettled(1)
    disk.cutPower()
    parser.signal('SIGKILL')
    await parser.ended
    disk.mountAgain()
    const [name = ''] = archivedIn(site.paths.archive)
    const path = archivedPath(site.paths.archive, name) ?? ''
    t.equal(sha256Of(readFileSync(path)), sha256Of(plain.content))
  })
})

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'the kernel lets only root mount'
  const dir = join(tmpdir(), `cs-probe-${process.pid}`)
  try {
    mkdirSync(dir)
    execFileSync('perl', ['-e', '1'])
    makeDisk(`${dir}.img`)
    execFileSync('mount', ['-o', 'loop', `${dir}.img`, dir], { stdio: 'pipe' })
    execFileSync('umount', [dir])
    return undefined
  } catch (error) {
    return `the kernel mounts no filesystem of its own: ${error}`
  } finally {
    rmSync(dir, { recursive: true, force: true })
    rmSync(`${dir}.img`, { force: true })
  }
}

function makeDisk(path: string): void {
  execFileSync('truncate', ['-s', '128M', path])
  execFileSync('mkfs.ext4', ['-q', '-F', path])
}

/** Puts a disk of its own under a site. */
function mountOver(t: Test, { paths }: Site) {
  const image = `${paths.dir}.img`
  let isMounted = false
  const mount = (): void => {
    execFileSync('mount', ['-o', 'loop', image, paths.dir])
    isMounted = true
  }
  const unmount = async (): Promise<void> => {
    if (!isMounted) return
    await eventually('nobody uses the disk any more', () => {
      execFileSync('umount', [paths.dir], { stdio: 'pipe' })
      return true
    })
    isMounted = false
  }
  makeDisk(image)
  mount()
  mkdirSync(paths.inbox)
  t.teardown(async () => {
    await unmount()
    rmSync(image, { force: true })
  })
  return {
    /** From here on nothing that was not synced comes to the disk. */
    cutPower(): void {
      const shutDown =
        'open(D, "<", shift) or die; my $f = pack("I", 2); ioctl(D, 0x8004587d, $f) or die'
      execFileSync('perl', ['-e', shutDown, paths.dir])
    },
    mountAgain(): void {
      execFileSync('umount', [paths.dir])
      mount()
    },
  }
}
