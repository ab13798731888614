import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { METRICS } from '../../scripts/serving/index.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { eventually } from '../helpers/eventually.ts'
import { dataFile, drop, seededFile } from '../helpers/files.ts'
import { startParser } from '../helpers/parser.ts'
import { promtool, whyNoPromtool } from '../helpers/promtool.ts'
import { ROOT } from '../helpers/root.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { startServe } from './http.ts'

// What is exported is what was done, can be read by Prometheus, and is what rules, dashboard and OPERATIONS
// speak of.

const MONITORING = join(ROOT, 'scripts/deploy/monitoring')
const skip = whyNoPromtool()
const names = METRICS.map(({ name }) => name)

/** With what a histogram is made of. */
const series = METRICS.flatMap(({ name, type }) => {
  return type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
})

function namedIn(text: string): string[] {
  return [...new Set(text.match(/\bcountersink_\w+/g))]
}

t.test('what was done is counted, in each stage', async t => {
  const server = await startDatabaseServer(t)
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const web = await startServe(t, site)
  const files = [1, 2, 3].map(seed => seededFile(`${seed}.txt`, seed, { lines: 10, consumers: 5 }))
  drop(site.paths, files)
  await parser.untilSettled(3)
  drop(site.paths, [dataFile('again.txt', files[0]!.content)])
  await parser.untilSettled(4)
  const values = async () => {
    const { text } = await web.ask('/metrics')
    return new Map(
      text
        .split('\n')
        .filter(line => line !== '' && !line.startsWith('#'))
        .map(line => line.split(/ (?=[^ ]+$)/) as [string, string]),
    )
  }
  const found = await eventually('all is told', async () => {
    const now = await values()
    return now.get('countersink_files_total{outcome="duplicate"}') === '1' ? now : undefined
  })
  const expected = {
    'countersink_files_total{outcome="applied"}': '3',
    countersink_lines_total: '30',
    countersink_claimed_files_total: '4',
    countersink_queue_files: '0',
    countersink_oldest_waiting_seconds: '0',
    countersink_database_up: '1',
    countersink_lease_held: '1',
    'countersink_up{process="parser"}': '1',
    'countersink_stage_seconds_count{stage="queued"}': '4',
    'countersink_stage_seconds_bucket{stage="queued",le="+Inf"}': '4',
    'countersink_stage_seconds_count{stage="count"}': '3',
  }
  for (const [name, value] of Object.entries(expected)) t.equal(found.get(name), value, name)
  t.ok(Number(found.get('countersink_totals_changed_total')) >= 5)
  for (const [name, value] of found) t.match(value, /^[\d.e+-]+$/, name)
  const stage = [...found].filter(([name]) => /_bucket\{stage="read"/.test(name))
  const counts = stage.map(([, value]) => Number(value))
  t.same(
    counts,
    [...counts].sort((a, b) => a - b),
    'buckets hold those before them',
  )
  const known = [...found.keys()].map(name => name.replace(/\{.*/, ''))
  t.same(
    known.filter(name => !series.includes(name)),
    [],
  )
  if (!skip) {
    const { text } = await web.ask('/metrics')
    t.same(promtool(['check', 'metrics'], text), { said: '', status: 0 })
  }
  // Nothing of it is a total: these are exact, and a sample is not.
  t.same(
    names.filter(name => /amount|consumer/.test(name)),
    [],
  )
})

t.test('the rules are due where they should be', { skip }, async t => {
  const check = promtool(['check', 'rules', join(MONITORING, 'countersink.rules.yml')])
  t.match(check, { status: 0 }, check.said)
  const tested = promtool(['test', 'rules', join(MONITORING, 'countersink.rules.test.yml')])
  t.match(tested, { status: 0 }, tested.said)
})

t.test('each rule is tested, and what it looks at is exported', async t => {
  const rules = readFileSync(join(MONITORING, 'countersink.rules.yml'), 'utf8')
  const tests = readFileSync(join(MONITORING, 'countersink.rules.test.yml'), 'utf8')
  t.same(
    namedIn(rules.replaceAll(/^#.*$/gm, '')).filter(name => !series.includes(name)),
    [],
  )
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name)
  t.ok(alerts.length >= 10)
  for (const alert of alerts) {
    const cases = tests.split(`alertname: ${alert}\n`).slice(1)
    t.equal(cases.length, 2, `${alert} is shown at work, and at rest`)
    t.same(
      cases.filter(text => text.trimStart().startsWith('exp_alerts: []')).length,
      1,
      `${alert}`,
    )
  }
})

t.test('the dashboard shows what is exported', async t => {
  const dashboard = JSON.parse(readFileSync(join(MONITORING, 'countersink-dashboard.json'), 'utf8'))
  const { panels, templating } = dashboard as {
    panels: {
      id: number
      title: string
      gridPos: { x: number; y: number; w: number; h: number }
      targets: { expr: string }[]
    }[]
    templating: { list: { name: string }[] }
  }
  t.same(
    templating.list.map(({ name }) => name),
    ['datasource', 'instance'],
  )
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const { title, targets, gridPos } of panels) {
    t.ok(targets.length > 0 && gridPos.x + gridPos.w <= 24, title)
    for (const { expr } of targets) {
      t.ok(namedIn(expr).length > 0, expr)
      t.same(
        namedIn(expr).filter(name => !series.includes(name)),
        [],
        expr,
      )
    }
  }
})

t.test('OPERATIONS names each metric, and no other', async t => {
  const page = readFileSync(join(ROOT, 'OPERATIONS.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(countersink_\w+)` \| (\w+) \| (.*) \|$/gm)]
  t.same(
    rows.map(([, name, type, help]) => ({ name, type, help })),
    METRICS.map(({ name, type, help }) => ({ name, type, help })),
  )
})
