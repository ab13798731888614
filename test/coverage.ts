import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT } from './helpers/root.ts'

// `npm run coverage [-- TESTS]`: which part of its lines each room has seen run, in the tests' own
// processes and in those that they start. It reports; no number is aimed at. A process that is killed
// says nothing, and each other one leaves some megabytes of what it has to say: so this is no part of
// `npm test`, and the random histories are left out.

const COUNTS = join(ROOT, '.tap', 'coverage')
const SUMMARY = join(ROOT, '.tap', 'report', 'coverage-summary.json')
const ROOMS = ['corrections', 'crash', 'generator', 'integration', 'parser', 'scripts', 'shared']

interface Lines {
  readonly total: number
  readonly covered: number
}

rmSync(COUNTS, { recursive: true, force: true })
rmSync(SUMMARY, { force: true })
mkdirSync(COUNTS, { recursive: true })
const named = process.argv.slice(2)
const tests =
  named.length > 0 ? named.map(path => `dist/${path}`) : ROOMS.map(room => `dist/test/${room}`)
const options = ['--no-disable-coverage', '--allow-incomplete-coverage']
const { status } = spawnSync(
  'npx',
  ['tap', ...options, '--coverage-report=json-summary', ...tests],
  {
    ...{ cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] },
    env: { ...process.env, NODE_V8_COVERAGE: COUNTS },
  },
)

const files: Record<string, { readonly lines: Lines }> = JSON.parse(readFileSync(SUMMARY, 'utf8'))
const rooms = new Map<string, Lines>()
for (const [path, { lines }] of Object.entries(files)) {
  const room = dirname(relative(ROOT, path))
  if (path === 'total' || room.startsWith('test')) continue
  const { total, covered } = rooms.get(room) ?? { total: 0, covered: 0 }
  rooms.set(room, { total: total + lines.total, covered: covered + lines.covered })
}
process.stdout.write('\nlines of each room that ran\n')
for (const [room, { total, covered }] of [...rooms].sort(([a], [b]) => (a < b ? -1 : 1))) {
  const percent = Math.floor((100 * covered) / total)
  process.stdout.write(`${room.padEnd(24)} ${String(percent).padStart(3)} %  of ${total}\n`)
}
process.exitCode = status ?? 1
