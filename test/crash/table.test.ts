import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CRASH_POINTS } from '../../shared/crash-points.ts'
import { ROOT } from '../helpers/root.ts'

// Each crash point is passed in the program, has its step in ARCHITECTURE.md's crash table, and is
// where a process is killed by a test that is named there.

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** Each row of the two tables, by what its first column begins with: the tests that show it. */
function rowsOf(text: string): { readonly step: string; readonly tests: readonly string[] }[] {
  const from = text.indexOf('## Durable steps')
  const section = text.slice(from, text.indexOf('\n## ', from + 1))
  const rows = section.split('\n').filter(line => /^\|.*`test\/.*`/.test(line))
  return rows.map(row => {
    const cells = row.split(' | ')
    let directory = ''
    const tests = [...cells.at(-1)!.matchAll(/`([^`]+)`/g)].map(([, name = '']) => {
      // Names behind the first one stand in its directory.
      if (name.includes('/')) directory = name.slice(0, name.lastIndexOf('/') + 1)
      return name.includes('/') ? name : directory + name
    })
    return { step: row.slice(2).split(' ')[0]!, tests }
  })
}

const ROWS = rowsOf(read('ARCHITECTURE.md'))
const STEPS = new Map(
  ROWS.filter(({ step }) => /^[A-Z]\d$/.test(step)).map(({ step, tests }) => [step, tests]),
)

t.test('each test that the tables name is there', async t => {
  t.ok(ROWS.length > 60)
  const named = new Set(ROWS.flatMap(({ tests }) => tests))
  t.same(
    [...named].filter(path => !existsSync(join(ROOT, path))),
    [],
  )
})

t.test('each point is passed in the program', async t => {
  const passed = new Set<string>()
  for (const room of ['generator', 'parser', 'scripts']) {
    for (const file of readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue
      const points = read(`${room}/${file}`).matchAll(/\bcrashPoint\('([^']+)'\)/g)
      for (const [, point = ''] of points) passed.add(point)
    }
  }
  t.same([...passed].sort(), [...CRASH_POINTS].sort())
})

t.test('each step with a point is in the table, and no other', async t => {
  const steps = new Set(CRASH_POINTS.map(stepOf))
  t.same([...STEPS.keys()].sort(), [...steps].sort())
})

t.test('at each point a test that its row names kills a process', async t => {
  for (const point of CRASH_POINTS) {
    const tests = STEPS.get(stepOf(point)) ?? []
    t.ok(
      tests.some(path => isArmedIn(read(path), point)),
      `${point} in ${tests.join(' or ')}`,
    )
  }
})

function stepOf(point: string): string {
  return point.slice(0, point.indexOf('-'))
}

/** By its name, or by its letter: such tests take all points that have it. */
function isArmedIn(test: string, point: string): boolean {
  if (test.includes(`'${point}'`)) return true
  const lists = test.matchAll(/CRASH_POINTS\.filter\(.*(?:startsWith\('(\w)'\)|\/\^\[(\w+)\]\/)/g)
  return [...lists].some(([, one = '', some = '']) => (one + some).includes(point.slice(0, 1)))
}
