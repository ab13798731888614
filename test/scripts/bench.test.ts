import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { earlierBuild, parserCommand } from '../../scripts/bench/builds.ts'
import type { Machine } from '../../scripts/bench/machine.ts'
import { parseBenchArguments } from '../../scripts/bench/options.ts'
import { updatePage } from '../../scripts/bench/page/page.ts'
import { niceCeiling, plotSvg } from '../../scripts/bench/page/plot.ts'
import { makeSumsOfLines } from '../../scripts/bench/pairs-table.ts'
import { judge, type Row, sizeText, times } from '../../scripts/bench/row.ts'
import { medianOf, percentileOf, slopeOf, spreadOf } from '../../scripts/bench/statistics.ts'
import { statePaths } from '../../shared/paths.ts'
import { ROOT } from '../helpers/root.ts'

// The parts of the benchmark that are no measurement.

t.test('statistics of few and of many values', async t => {
  t.equal(medianOf([3]), 3)
  t.equal(medianOf([9, 1, 5]), 5)
  t.equal(medianOf([4, 1, 2, 3]), 2.5)
  t.same(spreadOf([2, 1, 4]), { count: 3, min: 1, median: 2, max: 4, noise: 1.5 })
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.equal(percentileOf(hundred, 0.5), 50)
  t.equal(percentileOf(hundred, 0.99), 99)
  t.equal(percentileOf([7], 0.99), 7)
  t.throws(() => medianOf([]))
  const rising = [0, 1, 2, 3].map(x => ({ x, y: 5 + 3 * x }))
  t.equal(slopeOf(rising), 3)
  t.equal(slopeOf([{ x: 1, y: 1 }]), 0)
})

t.test('a figure is judged on the side of its aim', async t => {
  const atMost = { side: 'at most', bound: 1.6, write: times } as const
  t.same(judge(1.6, atMost), { reached: '1.60 ×', wanted: '≤ 1.60 ×', verdict: 'reached' })
  t.equal(judge(1.61, atMost).verdict, 'missed')
  t.equal(judge(1.61, { side: 'at least', bound: 1.6 }).verdict, 'reached')
  t.same([1e9, 128e6, 8_200_000, 4_000].map(sizeText), ['1 GB', '128 MB', '8.2 MB', '4 KB'])
})

t.test('the command line', async t => {
  const names = ['digest', 'apply', 'small-files']
  const parse = (...args: string[]) => parseBenchArguments(args, names, {})
  t.match(parse(), { kind: 'run', quick: false, sections: names, json: false, keep: false })
  t.match(parse('--quick', '--only', 'small-files,digest', '--minutes', '0.5'), {
    quick: true,
    sections: ['digest', 'small-files'],
    minutes: 0.5,
  })
  t.same(parse('digest', '/some/file', '--json'), {
    kind: 'digest',
    path: '/some/file',
    json: true,
  })
  t.match(parse('--before', '/built/then'), { before: '/built/then' })
  t.same(parse('--help'), { kind: 'help' })
  t.match(parseBenchArguments([], names, { COUNTERSINK_BENCH_MODULES: '/m' }), { modules: '/m' })
  const refused: [string[], RegExp][] = [
    [['--quik'], /did you mean --quick/],
    [['--only', 'aply'], /did you mean apply/],
    [['--only', ','], /needs a name/],
    [['--minutes', '0'], /above 0/],
    [['--befor', '/x'], /did you mean --before/],
    [['digest'], /file is missing/],
    [['digest', 'a', 'b'], /one argument too many/],
    [['digest', 'a', '--quick'], /not --quick/],
    [['digset', 'a'], /did you mean digest/],
  ]
  for (const [args, message] of refused) {
    t.throws(() => parse(...args), { code: 'USAGE', message }, args.join(' '))
  }
})

t.test('a plot is one well-formed drawing inside its frame', async t => {
  const svg = plotSvg({
    title: 'Sums & <lines>',
    xLabel: 'x',
    yLabel: 'MB/s',
    xText: String,
    series: [
      { label: 'first', points: [10, 100, 1_000].map((x, i) => ({ x, y: 100 * i })) },
      { label: 'second', points: [{ x: 10, y: 187 }] },
    ],
  })
  t.match(svg, /Sums &amp; &lt;lines>/)
  const open = svg.match(/<[a-z]+/g) ?? []
  const closed = svg.match(/\/>|<\/[a-z]+>/g) ?? []
  t.equal(open.length, closed.length, 'each element is closed')
  const circles = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)]
  t.equal(circles.length, 4)
  for (const [, x, y] of circles) {
    t.ok(Number(x) >= 0 && Number(x) <= 720 && Number(y) >= 0 && Number(y) <= 360)
  }
  t.notMatch(svg, /NaN|undefined|Infinity/)
  t.same([0, 3, 201, 1_000, 1_001].map(niceCeiling), [1, 5, 250, 1_000, 2_000])
  t.throws(() => plotSvg({ title: '', xLabel: '', yLabel: '', xText: String, series: [] }))
})

const machine: Machine = {
  cores: 2,
  cpu: 'a CPU',
  shaInstructions: true,
  memoryBytes: 2 ** 34,
  kernel: 'Linux 6',
  node: 'v20',
  mariadb: '10.11',
  openssl: 'OpenSSL 3',
  date: '2026-01-02',
  commit: 'abc1234',
}

function row(name: string, reached: string, verdict: Row['verdict']): Row {
  const figures = { seconds: 0.123456, turns: [1, 2] }
  return {
    section: 's',
    name,
    what: `what ${name} is`,
    reached,
    wanted: 'flat (≤ 1 %)',
    verdict,
    figures,
  }
}

t.test('a page keeps what a run did not measure, and what a person explained', async t => {
  const empty = readFileSync(`${ROOT}BENCHMARKS.md`, 'utf8').replace(
    /(<!-- bench: (\w+) -->\n)[\s\S]*?(<!-- \/bench -->)/g,
    (_, begin: string, name: string, end: string) =>
      name === 'table' ? `${begin}| row |\n| --- |\n${end}` : `${begin}${end}`,
  )
  const first = updatePage(
    empty,
    [row('one', '2', 'missed'), row('two', '1', 'reached')],
    machine,
    'full',
  )
  t.match(first, '| one | what one is | 2 | flat (≤ 1 %) | **missed** | 2026-01-02 abc1234 |')
  t.match(first, '- **one** (2, wanted flat (≤ 1 %)): not explained yet.')
  t.match(first, '- **two**: seconds 0.1235, turns 1/2')
  const explained = first.replace('not explained yet.', 'the disk: see there.')
  const again = updatePage(explained, [row('one', '3', 'missed')], machine, 'quick')
  t.match(again, '- **one** (3, wanted flat (≤ 1 %)): the disk: see there.')
  t.match(again, '| one | what one is | 3 | flat (≤ 1 %) | **missed** | 2026-01-02 abc1234 quick |')
  t.match(again, '| two | what two is | 1 |', 'an old row stays')
  const mended = updatePage(again, [row('one', '1', 'reached')], machine, 'full')
  t.notMatch(mended, 'the disk', 'what is reached needs no explanation')
  t.equal(updatePage(mended, [], machine, 'full'), mended, 'nothing new, nothing changed')
})

t.test('an earlier build is a built checkout, or refused before anything is measured', async t => {
  const directory = t.testdir({ dist: {} })
  t.throws(() => earlierBuild(directory), { code: 'USAGE', message: /built checkout/ })
  const root = ROOT
  const own = earlierBuild(root)
  t.match(own, { name: 'before' })
  const command = await parserCommand(own, statePaths('/srv/bench'))
  t.ok(command.includes(join(root, 'dist/parser/main.js')), 'its own parser is what is started')
})

t.test('sums of 80 lines each are exact', async t => {
  const { ids, amounts, amount, largest } = makeSumsOfLines(1_000)
  t.equal(ids[999], 1_000n)
  t.equal(
    amounts.reduce((sum, one) => sum + one, 0n),
    amount,
  )
  t.ok(amounts.every(one => one >= 80n && one <= largest))
})
