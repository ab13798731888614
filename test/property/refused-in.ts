import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type StatePaths, settledName } from '../../shared/paths.ts'

/** By the code beside them: files that were read to their end, and of which a total could not take a row. */
const CODES = ['TOTAL_OVERFLOW', 'TOTAL_REFUSED', 'ID_OUT_OF_RANGE']
const SIDECAR = '.reason.json'

/** Which settled files stand in quarantine because rows of theirs were refused. */
export function refusedIn(directories: readonly StatePaths[]): ReadonlySet<string> {
  const refused = new Set<string>()
  for (const { quarantine } of directories) {
    if (!existsSync(quarantine)) continue
    for (const sidecar of readdirSync(quarantine).filter(name => name.endsWith(SIDECAR))) {
      const path = join(quarantine, sidecar)
      if (!existsSync(path.slice(0, -SIDECAR.length))) continue
      const { name, sha256, code } = JSON.parse(readFileSync(path, 'utf8'))
      if (CODES.includes(code)) refused.add(settledName(name, Buffer.from(sha256, 'hex')))
    }
  }
  return refused
}
