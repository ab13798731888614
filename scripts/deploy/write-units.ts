/**
 * Unit files as files. One that is there and says something else may be somebody's own work, and is
 * left: then nothing is written. A crash leaves each file whole or not at all.
 */

import { existsSync, readFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../shared/durable.ts'
import type { Unit } from './units.ts'

/** Where an administrator's units are. */
export const UNIT_DIRECTORY = '/etc/systemd/system'

/** Paths of what is there and is not what would be written. */
export function otherUnits(directory: string, units: readonly Unit[]): string[] {
  return units
    .filter(({ name, text }) => {
      const path = join(directory, name)
      return existsSync(path) && readFileSync(path, 'utf8') !== text
    })
    .map(({ name }) => join(directory, name))
}

/** @returns the paths. */
export async function writeUnits(directory: string, units: readonly Unit[]): Promise<string[]> {
  const paths: string[] = []
  for (const { name, text } of units) {
    const path = join(directory, name)
    await replaceFile(path, text)
    await chmod(path, 0o644)
    paths.push(path)
  }
  return paths
}
