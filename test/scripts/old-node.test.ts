import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BUILT, ROOT } from '../helpers/root.ts'

// Both entries of a person, under a Node.js that says that it is older, or as old as is supported.

const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const least = /^>=(\d+)\.(\d+)$/.exec(engines.node)?.slice(1).map(Number) as [number, number]
const [major, minor] = least
const dir = t.testdir({})

function program(version: string) {
  const pretence = join(dir, `${version}.cjs`)
  writeFileSync(pretence, `Object.defineProperty(process, 'version', { value: '${version}' })`)
  const args = ['--require', pretence, join(BUILT, 'scripts/countersink.js'), '--version']
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: {} })
}

t.test('the program', async t => {
  for (const version of [`v${major}.${minor - 1}.9`, `v${major - 2}.20.0`, 'v14.21.3']) {
    const { status, stdout, stderr } = program(version)
    t.same([status, stdout], [2, ''], version)
    t.match(stderr, `Node.js ${major}.${minor} or newer is needed; this is ${version} (`)
  }
  for (const version of [`v${major}.${minor}.0`, `v${major + 1}.0.0`]) {
    t.match(program(version), { status: 0, stderr: '', stdout: /^\d+\.\d+\.\d+\n$/ }, version)
  }
})

t.test('the set-up, which `npm start` runs first', async t => {
  const node = join(dir, 'node')
  writeFileSync(node, `#!/bin/sh\necho v${major - 2}.20.0\n`)
  chmodSync(node, 0o755)
  const env = { PATH: `${dir}:${process.env.PATH}` }
  const setup = spawnSync('sh', [join(ROOT, 'scripts/setup.sh')], { encoding: 'utf8', env })
  t.match(setup, { status: 1, stdout: '' })
  t.match(setup.stderr, `Node.js ${major}.${minor} or newer is needed; this is v${major - 2}.20.0.`)
})
