import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { COMMANDS } from '../../../scripts/command-line.ts'
import { BUILT } from '../../helpers/root.ts'
import { missing } from './programs.ts'

// The page that is built and packed, for those who read it and those who check it.

const page = `${BUILT}countersink.1`

t.test('mandoc finds nothing wrong with it', { skip: missing('mandoc') ?? false }, async t => {
  const { status, stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'style', page], {
    encoding: 'utf8',
  })
  t.same({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
})

t.test('man shows it without a warning', { skip: missing('man') ?? false }, async t => {
  const env = { ...process.env, MANWIDTH: '100', LC_ALL: 'C.UTF-8' }
  const options = { env, encoding: 'utf8' } as const
  const { stdout, stderr, status } = spawnSync('man', ['-l', '--warnings=all', page], options)
  t.same({ status, stderr }, { status: 0, stderr: '' })
  for (const name of Object.keys(COMMANDS)) t.match(stdout, `countersink ${name}`)
  t.match(stdout, '--json')
})

t.test('what the command prints is what was built', async t => {
  const program = `${BUILT}scripts/countersink.js`
  const printed = execFileSync(process.execPath, [program, 'man'], { encoding: 'utf8' })
  t.equal(printed, readFileSync(page, 'utf8'))
})
