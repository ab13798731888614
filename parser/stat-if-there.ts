import type { BigIntStats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { hasCode } from '../shared/errors.ts'

/** Of the name itself, not of what a link points to; undefined when there is none. */
export async function statIfThere(path: string): Promise<BigIntStats | undefined> {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
