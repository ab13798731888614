import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../helpers/root.ts'

const read = (name: string): string => readFileSync(join(ROOT, name), 'utf8')

t.test('what is packed runs, and has no tests', async t => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const packed = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = Object.values(JSON.parse(packed.stdout)) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  const { bin, man } = JSON.parse(read('package.json'))
  t.same(man, ['dist/countersink.1'], 'npm links the pages of a list, and no other')
  for (const needed of [
    ...[bin.countersink, 'dist/parser/main.js', 'dist/generator/main.js', 'package.json'],
    ...['dist/parser/kernel/assembly/sums.wasm', 'dist/scripts/commands/up.js', 'README.md'],
    ...['dist/scripts/serving/main.js', 'dist/scripts/serving/page/index.html'],
    ...['scripts/deploy/monitoring/countersink.rules.yml'],
    ...['dist/scripts/serving/page/page.js', 'dist/scripts/serving/page/uPlot.LICENSE.txt'],
    ...['dist/countersink.1', 'dist/scripts/library/index.js', 'dist/scripts/library/index.d.ts'],
  ]) {
    t.ok(paths.includes(needed), needed)
  }
  t.same(
    paths.filter(path =>
      /test|bench|\.map$|\.ts$|tsbuildinfo/i.test(path.replace('BENCHMARKS', '')),
    ),
    // What the types of the library are made of, and no others.
    [
      'dist/scripts/library/index.d.ts',
      'dist/scripts/library/types.d.ts',
      'dist/shared/errors.d.ts',
    ],
  )
})

t.test('the lock file names no place to download from', async t => {
  t.notMatch(read('package-lock.json'), /"resolved":/)
})
