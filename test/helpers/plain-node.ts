import { chmodSync, writeFileSync } from 'node:fs'
import { type Teardown, tempDir } from '../shared/helpers.ts'

/**
 * What this process starts with node has none of the test runner's loader from now on, and comes up
 * ten times as fast: see `spawnNode`, for what the code under test starts by itself.
 */
export function startNodeWithoutLoader(t: Teardown): void {
  const node = process.execPath
  const plain = `${tempDir(t)}/node`
  writeFileSync(plain, `#!/bin/sh\nexec env -u NODE_OPTIONS '${node}' "$@"\n`)
  chmodSync(plain, 0o700)
  process.execPath = plain
  t.teardown(() => {
    process.execPath = node
  })
}
