import t from 'tap'
import { countersink, jsonLines } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { dataFile, drop, sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

// The totals are emptied each month, and the books of a year are closed, by commands.

const server = await startDatabaseServer(t)

t.test('emptied once for each reason, given back, and closed', async t => {
  const site = await makeSite(t, server)
  const file = dataFile('a.txt', '1 5\n2 7\n')
  drop(site.paths, [file])
  const parser = await startParser(t, site)
  await parser.untilSettled(1)
  const ask = async (...args: string[]) => {
    const [name = '', ...rest] = args
    const done = await countersink(t, site, name, ...rest)
    return [done.code, done.stdout] as const
  }
  const json = async (...args: string[]) => {
    const [name = '', ...rest] = args
    const done = await countersink(t, site, name, ...rest, '--json')
    return { code: done.code, ...(jsonLines(done)[0] as object) }
  }

  t.match(await ask('reset', '--reason', 'x'), [2, ''], 'it must be meant')
  t.match(await ask('reset', '--to-zero'), [2, ''], 'it must have a reason')
  const november = ['reset', '--to-zero', '--reason', 'November']
  t.match(await ask(...november, '--dry-run'), [0, 'would empty 2 totals, of 12 together\n'])
  t.match(await json(...november, '--dry-run'), { code: 0, state: 'possible', totals: '2' })
  t.match(await ask('totals'), [0, '1\t5\n2\t7\n'])
  t.match(await ask(...november), [0, /^emptied: 2 totals were emptied, of 12 together\n$/])
  t.match(await ask('totals'), [0, '1\t0\n2\t0\n'])
  t.match(await ask(...november), [1, /^nothing was done: they were emptied before/])
  t.match(await json(...november), { code: 1, state: 'repeated', answer: /^2 totals/ })
  const account = await ask('explain', '--consumer', '2')
  t.match(account, [0, /reset \d{4}-\d\d-\d\d +\(reset: November\)/])
  t.match(await ask('verify', '--full'), [0, /1 file/])
  t.match(await ask('hashes', '--json'), [0, /^(?!.*reset)/])

  drop(site.paths, [dataFile('b.txt', '2 1\n3 1\n')])
  await parser.untilSettled(2)
  const [, told] = await ask('explain', '--consumer', '2', '--json')
  const lines = told.split('\n').filter(line => line.includes('"reset '))
  const { sha256 } = JSON.parse(lines[0]!)
  t.match(await ask('undo', sha256, '--reason', 'too early'), [0, /^taken back: .*reset/])
  t.match(await ask('totals'), [0, '1\t5\n2\t8\n3\t1\n'])
  t.match(await ask('verify', '--full'), [0, /adds up, consumer by consumer/])

  t.match(await ask('prune'), [2, ''])
  t.match(await ask('prune', '--keep', '400'), [2, ''])
  t.match(await ask('prune', '--before', '2999-01-01'), [2, ''])
  t.match(await ask('prune', '--keep', '0d'), [0, /^done: nothing that was counted before/])
  const now = new Date().toISOString()
  t.match(await json('prune', '--before', now, '--dry-run'), {
    ...{ code: 0, do: 'prune', state: 'possible', files: 3, postings: 4, pairs: '4' },
  })
  t.match(await ask('prune', '--before', now, '--dry-run'), [0, /3 files.*would be removed\n$/])
  t.match(await ask('prune', '--before', now), [0, /^done: the books are closed up to .*: 3 files/])
  t.match(await ask('totals'), [0, '1\t5\n2\t8\n3\t1\n'])
  t.match(await ask('verify', '--full'), [0, /adds up, consumer by consumer/])
  t.match(await ask('explain', '--consumer', '2'), [0, /opening balance +8\n/])
  const hash = sha256Of(file.content)
  t.match(await ask('explain', hash), [0, /books are closed/])
  t.match(await ask('undo', hash), [1, /BOOKS_CLOSED/])
  t.match(await ask('check', hash), [0, /counted/], 'that it was counted is known for ever')
  t.match(await stopProgram(parser), { code: 0 })
})
