/**
 * The programs that these tests need beside node. Where one is missing its test is skipped, which is seen; where CI
 * is set it is installed, and the test fails if that cannot be.
 */

import { execFileSync, spawnSync } from 'node:child_process'

const PACKAGES = { zsh: 'zsh', fish: 'fish', mandoc: 'mandoc', man: 'man-db' } as const

export type Needed = keyof typeof PACKAGES

/** Why the test cannot be; undefined when it can. */
export function missing(program: Needed): string | undefined {
  if (isThere(program)) return undefined
  const install = `apt-get install -y --no-install-recommends ${PACKAGES[program]}`
  if (!process.env.CI) return `there is no ${program} here: ${install}`
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const words = process.getuid?.() === 0 ? install : `sudo -n ${install}`
  const line = `${words} || { ${words.replace(/install.*/, 'update')} && ${words}; }`
  execFileSync('sh', ['-c', line], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  if (!isThere(program)) throw new Error(`${install} brought no ${program}`)
  return undefined
}

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}
