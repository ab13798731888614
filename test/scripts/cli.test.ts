import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { COMMON, parseOptions } from '../../scripts/command-table/options.ts'
import { cannot, environment, usage, wholeNumber } from '../../scripts/terminal/cli.ts'
import { whatToDoFirst, whySilent } from '../../scripts/terminal/reaching.ts'
import { formatTable } from '../../scripts/terminal/table.ts'
import { processIdentity } from '../../shared/lifecycle.ts'
import { nearest } from '../../shared/nearest.ts'
import { placeOf } from '../../shared/state-directory.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'

const OPTIONS = {
  outcome: { kind: 'choice', value: 'O', choices: ['applied', 'duplicate'], help: 'only these' },
  limit: { kind: 'number', value: 'N', min: 0, max: 50, default: 20, help: 'so many' },
  id: { kind: 'text', value: 'N', help: 'one' },
  top: { kind: 'number', value: 'N', min: 1, max: 9, insteadOf: 'id', help: 'some' },
  wait: { kind: 'switch', help: 'wait' },
  timeout: { kind: 'number', value: 'S', min: 0, max: 9, onlyWith: 'wait', help: 'so long' },
  json: { kind: 'switch', help: 'as JSON' },
  ...COMMON,
} as const

t.test('options are parsed strictly', async t => {
  const { values } = parseOptions(['--json', '--limit=5', '--dir', 'x'], OPTIONS)
  t.match(values, { json: true, limit: 5, dir: 'x', outcome: undefined })
  t.match(parseOptions([], OPTIONS).values, { dir: 'var', limit: 20, json: false })
  const wrong = [
    ...[['--limmit', '5'], ['--josn'], ['-x'], ['--json=yes'], ['--limit'], ['extra']],
    ...[['--limit', '--json'], ['--no-json'], ['--', 'extra'], ['--limit=51'], ['--outcome=x']],
    ...[
      ['--id=1', '--top=1'],
      ['--timeout=1', '--limit=1'],
    ],
  ]
  for (const args of wrong) {
    t.match(await failureOf(() => parseOptions(args, OPTIONS)), { code: 'USAGE' }, args.join(' '))
  }
})

t.test('an unknown option gets a hint when one is near', async t => {
  const hint = async (option: string): Promise<string | undefined> =>
    /did you mean --([\w-]+)/.exec(
      (await failureOf(() => parseOptions([option], OPTIONS))).message,
    )?.[1]
  t.equal(await hint('--limmit=5'), 'limit')
  t.equal(await hint('--josn'), 'json')
  t.equal(await hint('--dri'), 'dir')
  t.equal(await hint('--hepl'), 'help')
  t.equal(await hint('--somethingelse'), undefined)
})

t.test('arguments are counted', async t => {
  const one = { kind: 'file', value: 'FILE', min: 1, max: 2 } as const
  t.same(parseOptions(['a', 'b'], {}, one).positionals, ['a', 'b'])
  t.same(parseOptions(['--', '--a'], {}, one).positionals, ['--a'])
  t.match(await failureOf(() => parseOptions([], {}, one)), { code: 'USAGE', message: /FILE/ })
  t.match(await failureOf(() => parseOptions(['a', 'b', 'c'], {}, one)), { message: /"c"/ })
})

t.test('words that are chosen from', async t => {
  const choices = { show: 'all of it', check: 'what is wrong' }
  const words = { kind: 'choice', value: 'show|check', min: 0, max: 1, choices } as const
  t.same(parseOptions(['show'], {}, words).positionals, ['show'])
  t.match(await failureOf(() => parseOptions(['shwo'], {}, words)), {
    code: 'USAGE',
    message: '"shwo" is neither show nor check; did you mean show?',
  })
})

t.test('an option that is needed', async t => {
  const options = { once: { kind: 'switch', help: 'once', required: 'say --once' } } as const
  t.match(await failureOf(() => parseOptions([], options)), { message: 'say --once' })
  t.same(parseOptions(['--once'], options).values.once, true)
})

t.test('whole numbers', async t => {
  t.equal(wholeNumber('n', '0', 0, 5), 0)
  t.equal(wholeNumber('n', '005', 0, 5), 5)
  for (const text of ['', '-1', '6', '1.5', 'x', '1e1', ' 1', '9'.repeat(17)]) {
    const error = await failureOf(() => wholeNumber('limit', text, 0, 5))
    t.match(error, { code: 'USAGE', message: /--limit/ }, JSON.stringify(text))
    t.ok(error.message.includes(JSON.stringify(text)))
  }
})

t.test('the nearest word', async t => {
  const commands = ['up', 'publish', 'hashes', 'check', 'totals', 'status', 'ping']
  t.equal(nearest('hash', commands), 'hashes')
  t.equal(nearest('statsu', commands), 'status')
  t.equal(nearest('totals', commands), 'totals')
  t.equal(nearest('pong', commands), 'ping')
  t.equal(nearest('frobnicate', commands), undefined)
  t.equal(nearest('x', []), undefined)
})

t.test('the environment of a command', async t => {
  const dir = tempDir(t)
  t.match(await failureOf(() => environment(dir)), {
    code: 'STOPPED',
    message: `nothing of countersink is in ${dir}`,
  })
  mkdirSync(`${dir}/inbox`)
  t.match(environment(dir), { paths: { dir }, config: { totalsTable: String } })
  t.match(await failureOf(() => environment(`${dir}/x`)), {
    code: 'STOPPED',
    message: `there is no state directory ${dir}/x`,
  })
  mkdirSync(`${dir}/run`, 0o700)
  const denied = { code: 'STOPPED', message: /^this user \(uid \d+\) may not look into / }
  for (const [path, mode] of [
    [`${dir}/run`, 0o700],
    [dir, 0o711],
    [dir, 0o000],
  ] as const) {
    chmodSync(path, mode === 0o700 ? 0o000 : mode)
    t.match(await asNobody(() => failureOf(() => environment(dir))), denied, path)
    chmodSync(path, 0o700)
  }
  t.match(usage('x'), { code: 'USAGE', message: 'x' })
  t.match(cannot('x', 'do y'), { code: 'STOPPED', advice: 'do y' })
})

t.test('what is not there yet, or not any more, while the supervisor lives', async t => {
  const { paths } = environment(tempDirWithInbox(t))
  mkdirSync(paths.run)
  const supervisor = { ...processIdentity(process.pid), place: placeOf(paths.dir) }
  const why = async (state: string, name: 'parser' | 'generator', withGenerator = true) => {
    const text = JSON.stringify({ ...supervisor, state, withGenerator })
    writeFileSync(paths.supervisorStatus, text)
    const error = Object.assign(new Error(), { code: 'ENOENT' })
    return (await whySilent(paths, name, error)).silentBecause
  }
  t.equal(
    await why('starting', 'parser'),
    'the parser is not running yet (the service is starting)',
  )
  t.match(await whatToDoFirst(paths), /^Ask again when the service has started/)
  t.match(await why('running', 'parser'), /\(its supervisor starts it again\)$/)
  t.match(await why('draining', 'generator'), /\(it has made its files\)$/)
  t.match(await why('stopping', 'parser'), /\(the service is stopping\)$/)
  t.equal(await why('running', 'generator', false), 'the generator is not running')
  supervisor.place = 'another'
  t.equal(await why('running', 'parser'), 'the parser is not running')
  t.match(await whatToDoFirst(paths), /^Start it/)
})

function tempDirWithInbox(t: Test): string {
  const dir = tempDir(t)
  mkdirSync(`${dir}/inbox`)
  return dir
}

t.test('tables', async t => {
  const head = ['name', 'bytes', 'last']
  const rows = [['a', '1', 'x'], ['longer', '12345678', ''], ['b']]
  t.same(formatTable(head, rows, new Set([1])), [
    'name       bytes  last',
    'a              1  x',
    'longer  12345678',
    'b',
  ])
  t.same(formatTable(['a', 'b'], []), ['a  b'])
})

/** Root may look into everything. */
async function asNobody<T>(action: () => Promise<T>): Promise<T> {
  const before = process.geteuid!()
  if (before === 0) process.seteuid!(65_534)
  try {
    return await action()
  } finally {
    process.seteuid!(before)
  }
}
