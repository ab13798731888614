import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadInstance } from '../../parser/instance.ts'
import { failureOf, tempDir } from '../shared/helpers.ts'

t.test('the instance stays the same for a state directory', async t => {
  const path = join(tempDir(t), 'instance.json')
  const first = await loadInstance(path)
  t.equal(first.length, 16)
  t.ok(first.equals(await loadInstance(path)))
  for (const text of ['', '{}', '{"instance":"x"}', '[]', '{"instance":5}', '{"inst']) {
    writeFileSync(path, text)
    t.match(await failureOf(loadInstance(path)), { code: 'STATE_DIRECTORY_UNFIT' }, text)
  }
})
