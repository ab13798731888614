import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

// As somebody would who bills by these numbers: a wrong file is found, taken back, replaced, and the trail
// shown to a customer.

const server = await startDatabaseServer(t)
t.jobs = 2
t.setTimeout(300_000)

const WRONG = '1 100\n2 200\n3 300\n'
const RIGHT = '1 100\n2 250\n4 4\n'
const hash = (text: string): string => sha256Of(Buffer.from(text))

t.test('a wrong file is found, taken back, counted again and replaced', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUIET_MS: '100' })
  const parser = await startParser(t, site)
  const run = (...args: [string, ...string[]]) => countersink(t, site, ...args)
  const write = (name: string, text: string): string => {
    const path = join(site.paths.dir, name)
    writeFileSync(path, text)
    return path
  }
  const totals = async (): Promise<string> => (await run('totals')).stdout
  t.match(await run('publish', write('november.txt', WRONG), '--wait'), { code: 0 })

  const found = JSON.parse((await run('explain', 'november.txt', '--json')).stdout)
  t.equal(found.sha256, hash(WRONG))
  const prefix = hash(WRONG).slice(0, 12)
  t.match(await run('undo', prefix, '--dry-run'), {
    code: 0,
    stdout: /^can be taken back: november\.txt\S* \([0-9a-f]{12}\): 3 consumers, amount 600\n$/,
  })
  t.equal(await totals(), '1\t100\n2\t200\n3\t300\n')
  t.match(await run('undo', prefix, '--reason', 'wrong\u001b[31m month'), {
    code: 0,
    stdout: /^taken back: november\.txt\S* \([0-9a-f]{12}\): 3 consumers, amount 600\n$/,
  })
  t.equal(await totals(), '1\t0\n2\t0\n3\t0\n')
  t.match(await run('undo', prefix), { code: 0 }, 'once is enough')
  t.match(await run('check', hash(WRONG)), { code: 1, stdout: /not counted: reverted .*wrong/ })
  await eventually('its file has gone', async () =>
    JSON.parse((await run('explain', hash(WRONG), '--json')).stdout).path?.includes('/reverted/'),
  )
  t.match(await run('hashes'), { stdout: /\breverted\b/ })
  t.match(await run('status'), { stdout: /1 reverted/ })
  t.match(await run('publish', write('again.txt', WRONG), '--wait'), { stdout: /^reverted / })

  t.match(await run('redo', prefix, '--json'), { code: 0 })
  t.equal(await totals(), '1\t100\n2\t200\n3\t300\n')
  const replaced = await run('supersede', prefix, write('mended.txt', RIGHT), '--reason', 'twice')
  t.match(replaced, { code: 0, stdout: /^counted: mended\.txt .* in place of november\.txt/ })
  t.equal(await totals(), '1\t100\n2\t250\n3\t0\n4\t4\n')
  t.match(await run('verify', '--full'), { code: 0 })

  const account = await run('explain', '--consumer', '2', '--json')
  const postings = jsonLines(account).filter(({ kind }) => kind === 'posting')
  t.match(
    postings.map(({ amount, order, reason }) => [amount, order, reason]),
    [
      ['200', undefined, undefined],
      ['-200', 'undo', /^wrong/],
      ['200', undefined, undefined],
      ['-200', 'supersede', 'twice'],
      ['250', 'supersede', 'twice'],
    ],
  )
  t.match(await run('explain', '--consumer', '2'), { stdout: /\(taken back: twice\)/ })
  t.match(await run('explain', hash(WRONG)), { stdout: /^ {2}replaced by +mended\.txt/m })
  t.match(await run('explain', hash(RIGHT)), { stdout: /^ {2}in place of +november\.txt/m })
  for (const { stdout } of [await run('explain', hash(WRONG)), await run('status')]) {
    t.notOk(stdout.includes('\u001b[31m'), 'what a person wrote moves no terminal')
  }
  t.match(await stopProgram(parser), { code: 0 })
})

t.test('what is asked wrongly, or cannot be done', async t => {
  const site = await makeSite(t, server, { COUNTERSINK_QUIET_MS: '100' })
  const run = (...args: [string, ...string[]]) => countersink(t, site, ...args)
  const path = join(site.paths.dir, 'usage.txt')
  writeFileSync(path, WRONG)
  t.match(await run('undo', hash(WRONG)), { code: 3, stderr: /nothing was ever counted/ })
  const parser = await startParser(t, site)
  t.match(await run('publish', path, '--wait'), { code: 0 })
  for (const wrong of [[], ['abc'], ['usage.txt'], ['0'.repeat(64)], [hash(WRONG), 'more']]) {
    t.match(await run('undo', ...wrong), { code: 2 }, wrong.join(' '))
  }
  t.match(await run('supersede', hash(WRONG), path), { code: 2, stderr: /the very content/ })
  t.match(await run('supersede', hash(WRONG), '/no/such/file'), { code: 2 })
  t.match(await run('redo', hash(WRONG)), { code: 0 }, 'it is counted')
  t.match(await stopProgram(parser), { code: 0 })
  t.match(await run('undo', hash(WRONG), '--timeout', '0'), {
    code: 3,
    stdout: /^not yet: usage\.txt/,
  })
  t.match(await run('explain', hash(WRONG)), { stdout: /^ {2}asked +undo, .*: waits/m })
})
