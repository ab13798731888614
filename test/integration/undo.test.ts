import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { countersink } from '../helpers/cli.ts'
import { startDatabaseServer } from '../helpers/database.ts'
import { sha256Of } from '../helpers/files.ts'
import { startParser, stopProgram } from '../helpers/parser.ts'
import { makeSite } from '../helpers/state-dir.ts'

// A file is taken back and counted again, the whole way once. Everything else that may be asked for
// afterwards is in `test/corrections/`.

const server = await startDatabaseServer(t)
t.setTimeout(120_000)

t.test('a file is taken back, and counted again', async t => {
  const site = await makeSite(t, server)
  const parser = await startParser(t, site)
  const run = (...args: [string, ...string[]]) => countersink(t, site, ...args)
  const path = join(site.paths.dir, 'november.txt')
  const content = '1 100\n2 18446744073709551615\n'
  writeFileSync(path, content)
  const hash = sha256Of(Buffer.from(content))
  t.match(await run('publish', path, '--wait'), { code: 0 })
  t.match(await run('undo', hash, '--reason', 'too early'), { code: 0, stdout: /^taken back: / })
  t.match(await run('totals'), { stdout: '1\t0\n2\t0\n' })
  t.match(await run('check', hash), { code: 1, stdout: /not counted: reverted .*too early/ })
  t.match(await run('explain', hash), { code: 0, stdout: /^ {2}taken back /m })
  t.match(await run('redo', hash), { code: 0, stdout: /^is counted again: / })
  t.match(await run('totals'), { stdout: '1\t100\n2\t18446744073709551615\n' })
  t.match(await run('verify', '--full'), { code: 0, stdout: /adds up, consumer by consumer/ })
  t.match(await stopProgram(parser), { code: 0 })
})
