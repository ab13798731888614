import { readdirSync } from 'node:fs'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { generatedFiles } from '../helpers/invariants.ts'
import { stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'
import { spawnUp, startUp } from '../helpers/up.ts'

// What the generator makes up comes into a database of somebody's own only when it is asked to.

const server = await startDatabaseServer(t)

t.test('what only the generator understands is refused without it', async t => {
  const site = await makeSite(t, server)
  const wrong: [args: string[], stderr: RegExp, env?: Record<string, string>][] = [
    [['--files', '1'], /--files: .* does not write into a database of yours .* add --generator/],
    [['--files', '0'], /--files/],
    [['--file-size', '1KiB', '--seed', '7'], /--file-size, --seed: .* add --generator/],
    [['--consumers', '5'], /--consumers/],
    [[], /COUNTERSINK_FILES=2: .* add --generator/, { COUNTERSINK_FILES: '2' }],
    [['--no-generator', '--files', '1'], /--files: .* --no-generator is given/],
    [['--generator', '--no-generator'], /cannot be combined/],
  ]
  for (const [args, stderr, env] of wrong) {
    const ended = await countersink(t, { ...site, env: { ...site.env, ...env } }, 'up', ...args)
    t.match(ended, { code: 2, stdout: '', stderr }, args.join(' '))
  }
  t.same(readdirSync(site.paths.dir), ['inbox'], 'before anything is made')

  const own = await makeSite(t)
  const both = await countersink(t, own, 'up', '--no-generator', '--files', '1')
  t.match(both, { code: 2, stderr: /--files: .* --no-generator is given/ })
})

t.test('without a word of it, none runs; asked for, it does', async t => {
  const site = await makeSite(t, server)
  const up = await startUp(t, site)
  t.match(up.output(), /^countersink in \S+; your MariaDB; no generator\n/)
  t.match(up.status(), { withGenerator: false, generator: undefined })
  t.match(await countersink(t, site, 'ping'), { code: 0, stdout: /^parser: healthy[^\n]*\n$/ })
  t.match(await stopProgram(up), { code: 0 })
  t.same(generatedFiles(site), [])

  const sizes = ['--file-size', '1KiB-2KiB']
  const asked = await spawnUp(t, site, '--generator', '--files', '1', ...sizes).ended
  t.match(asked, {
    code: 0,
    stdout: /^countersink in \S+; your MariaDB; a generator makes files\n.*It adds up\.\n/s,
  })
  t.equal(generatedFiles(site).length, 1)
})
