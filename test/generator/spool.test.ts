import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FileMaker, type MakeOptions } from '../../generator/making/file-maker.ts'
import { sweepLeftovers } from '../../generator/publishing/sweep.ts'
import { Spool } from '../../generator/spool.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { readManifest } from '../../shared/manifest.ts'
import { readFiles, smallConfig, stateDirectory } from './helpers.ts'

const NAME = 'usage-0123abcd-000001.txt'
const self = processIdentity(process.pid)!

function recipe(overrides: Readonly<Record<string, string>> = {}) {
  return { ...smallConfig(overrides), seed: 1n, number: 1 }
}

function makeOptions(overrides: Partial<MakeOptions> = {}): MakeOptions {
  return { signal: new AbortController().signal, ...overrides }
}

/** At each slice, `take` is asked for leave. */
function pacer(take: () => Promise<void>): MakeOptions['pacer'] {
  return { sliceBytes: 1_024, take }
}

const maker = new FileMaker()
t.teardown(() => maker.close())

t.test('a published file and its manifest say the same', async t => {
  const paths = stateDirectory(t)
  const spool = new Spool(paths, self, maker)
  const file = await spool.write(NAME, recipe(), makeOptions())
  t.same(readdirSync(paths.generatorTmp), [`${NAME}.${self.pid}.${self.startTime}.tmp`])
  t.same(readdirSync(paths.inbox), [])
  const publication = await spool.publish(file!)
  t.same(readdirSync(paths.generatorTmp), [])
  t.same(readdirSync(paths.inbox).sort(), [NAME, `${NAME}.manifest.json`])
  const manifest = await readManifest(join(paths.inbox, `${NAME}.manifest.json`))
  const [found] = readFiles(paths.inbox)
  t.match(found, { ...file, tmp: undefined })
  const { sizeBytes, sha256, lines, amount } = found!
  t.same(manifest, { sizeBytes, sha256, lines, amount, disposable: true, ...publication })
  for (const entry of readdirSync(paths.inbox)) {
    t.equal(statSync(join(paths.inbox, entry)).mode & 0o777, 0o600)
  }
})

t.test('an abandoned file leaves nothing, and the next one is made', async t => {
  const paths = stateDirectory(t)
  const spool = new Spool(paths, self, maker)
  const abort = new AbortController()
  let slices = 0
  const take = async (): Promise<void> => {
    slices += 1
    if (slices === 10) abort.abort()
  }
  const options = makeOptions({ signal: abort.signal, pacer: pacer(take) })
  t.equal(await spool.write(NAME, recipe({ COUNTERSINK_FILE_SIZE: '64KiB' }), options), undefined)
  t.same(readdirSync(paths.generatorTmp), [])
  t.equal(await spool.write(NAME, recipe(), options), undefined, 'nor is one begun')
  t.ok(await spool.write(NAME, recipe(), makeOptions()))
})

t.test('a failure while writing leaves nothing and ends in IO_FAILED', async t => {
  const paths = stateDirectory(t)
  const take = async (): Promise<void> => {
    throw new Error('the disk is on fire')
  }
  const options = makeOptions({ pacer: pacer(take) })
  await t.rejects(new Spool(paths, self, maker).write(NAME, recipe(), options), {
    code: 'IO_FAILED',
  })
  t.same(readdirSync(paths.generatorTmp), [])
})

t.test('a full disk is told as such', async t => {
  const paths = stateDirectory(t)
  const take = async (): Promise<void> => {
    throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  }
  const options = makeOptions({ pacer: pacer(take) })
  await t.rejects(new Spool(paths, self, maker).write(NAME, recipe(), options), { code: 'ENOSPC' })
  t.same(readdirSync(paths.generatorTmp), [])
})

t.test('tmp files of the dead are swept, of the living left', async t => {
  const paths = stateDirectory(t)
  const dead = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
  await once(dead, 'spawn')
  const deadIdentity = processIdentity(dead.pid!)!
  dead.kill('SIGKILL')
  await once(dead, 'close')
  const living = `${NAME}.${self.pid}.${self.startTime}.tmp`
  const reused = `${NAME}.${self.pid}.1.tmp`
  const ofDead = `${NAME}.${deadIdentity.pid}.${deadIdentity.startTime}.tmp`
  for (const entry of [living, reused, ofDead, 'notes.txt']) {
    writeFileSync(join(paths.generatorTmp, entry), '1 1\n')
  }
  t.equal(await sweepLeftovers(paths), 2)
  t.same(readdirSync(paths.generatorTmp).sort(), ['notes.txt', living])
})

t.test('nothing in the inbox is swept, however old it looks', async t => {
  const paths = stateDirectory(t)
  const path = join(paths.inbox, 'usage-0123abcd-000001.txt.manifest.json')
  writeFileSync(path, '')
  utimesSync(path, 1_000_000_000, 1_000_000_000)
  t.equal(await sweepLeftovers(paths), 0)
  t.ok(existsSync(path))
})
