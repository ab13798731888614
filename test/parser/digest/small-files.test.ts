import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SMALL_FILE_BYTES_MAX, SmallFiles } from '../../../parser/digest/small-files.ts'
import { DEFECTS } from './fixtures/defect-cases.ts'
import { mismatch } from './fixtures/files.ts'
import { Random, randomLines } from './fixtures/random.ts'

const smallFiles = new SmallFiles()
t.teardown(() => smallFiles.close())
const never = new AbortController().signal
const limits = { pairsMax: 1_000, signal: never }

/** Writes files of these contents; returns their paths. */
function filesOf(t: Test, contents: readonly (Uint8Array | string)[]): string[] {
  const directory = t.testdir()
  return contents.map((content, i) => {
    const path = join(directory, `${i}`)
    writeFileSync(path, content)
    return path
  })
}

t.test('good files, all that are asked for, agree with the model', async t => {
  const random = new Random()
  for (let round = 0; round < 20; round++) {
    const contents = Array.from({ length: 1 + random.below(60) }, () => {
      const lines = randomLines(random, random.below(120))
      return Buffer.from(random.chance(3) ? lines.replace(/\r?\n$/, '') : lines)
    })
    const digests = await smallFiles.digest({ ...limits, paths: filesOf(t, contents) })
    let good = 0
    for (const [i, digest] of digests.entries()) {
      const wrong = await mismatch(digest, contents[i]!)
      if (wrong !== undefined) return t.fail(`SEED=${random.seed}`, { round, i, wrong })
      good += 1
    }
    // Random amounts may pass 2^64; that file and those behind it are left.
    if (good < contents.length) t.comment(`${good} of ${contents.length} in round ${round}`)
    if (good === 0) return t.fail(`SEED=${random.seed}`, { round })
  }
  t.pass('all agree')
})

t.test('an empty file, one without a last line end, the largest and the widest', async t => {
  const widest = Array.from({ length: 1_000 }, (_, i) => `${i * 7} 1\n`).join('')
  const contents = ['', '5 6', `${'1 2\n'.repeat(SMALL_FILE_BYTES_MAX / 4)}`, widest]
  const digests = await smallFiles.digest({ ...limits, paths: filesOf(t, contents) })
  t.equal(digests.length, contents.length)
  for (const [i, digest] of digests.entries()) {
    t.equal(await mismatch(digest, Buffer.from(contents[i]!)), undefined)
    t.equal(digest.runName, undefined)
    t.equal(digest.resumedFromBytes, 0)
    await digest.release()
    await digest.discard()
  }
})

t.test('what more is to be said about is left, with all behind it', async t => {
  const [good, other] = ['1 2\n3 4\n', '5 6\n']
  const lefts: Record<string, (path: string) => void> = {
    'is not there': path => rmSync(path),
    'is a directory': path => {
      rmSync(path)
      mkdirSync(path)
    },
    'is a link': path => {
      rmSync(path)
      symlinkSync('0', path)
    },
    'is too large': path => writeFileSync(path, '1 2\n'.repeat(SMALL_FILE_BYTES_MAX / 4 + 1)),
    'has too many consumers': path =>
      writeFileSync(path, Array.from({ length: 1_001 }, (_, i) => `${i} 1\n`).join('')),
    'has a sum past 2^64': path => writeFileSync(path, `1 ${2n ** 64n - 1n}\n1 1\n`),
  }
  for (const [line] of DEFECTS) {
    lefts[`has the line ${JSON.stringify(line)}`] = path => writeFileSync(path, `1 1\n${line}\n`)
  }
  for (const [what, spoil] of Object.entries(lefts)) {
    const paths = filesOf(t, [good, 'spoiled', other])
    spoil(paths[1]!)
    const digests = await smallFiles.digest({ ...limits, paths })
    t.equal(digests.length, 1, `one that ${what}`)
    const sha256 = createHash('sha256').update(good).digest()
    t.equal(Buffer.compare(digests[0]!.sha256, sha256), 0)
    t.same(await smallFiles.digest({ ...limits, paths: paths.slice(1) }), [])
  }
})

t.test('an abort, and the end', async t => {
  const paths = filesOf(t, ['1 2\n'])
  const reason = new Error('enough')
  await t.rejects(
    smallFiles.digest({ ...limits, paths, signal: AbortSignal.abort(reason) }),
    reason,
  )

  const abort = new AbortController()
  const many = Array.from({ length: 5_000 }, () => paths[0]!)
  const aborted = smallFiles.digest({ ...limits, paths: many, signal: abort.signal })
  abort.abort(reason)
  await t.rejects(aborted, reason)
  t.equal((await smallFiles.digest({ ...limits, paths })).length, 1, 'it goes on with the next')

  const own = new SmallFiles()
  const ended = own.digest({ ...limits, paths: many })
  const ending = own.close()
  await t.rejects(ended, { code: 'STOPPED' })
  await ending
  await own.close()
})
