import { readFileSync } from 'node:fs'

export function programVersion(): string {
  // Built files stand in dist/scripts/.
  const file = new URL('../../package.json', import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')).version
}
