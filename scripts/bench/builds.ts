/**
 * Built checkouts of this project: the one that runs the benchmark, and an earlier one that it is
 * compared with. Of the earlier one only what the benchmark itself rests on is used: how its parser is
 * started, its digest of one file, its ledger.
 */

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { StatePaths } from '../../shared/paths.ts'
import { usage } from '../terminal/index.ts'

export interface Build {
  readonly name: 'this' | 'before'
  /** Where its built files are. */
  readonly dist: string
}

export const THIS_BUILD: Build = {
  name: 'this',
  dist: fileURLToPath(new URL('../..', import.meta.url)),
}

/** @throws CountersinkError USAGE when nothing is built there. */
export function earlierBuild(checkout: string): Build {
  const dist = resolve(checkout, 'dist')
  if (existsSync(join(dist, BENCH, 'bench.js'))) return { name: 'before', dist }
  throw usage(`--before needs a built checkout of this project; ${checkout} is none`)
}

const BENCH = 'scripts/bench'

/** A module of a build, of which this one knows the type. */
export async function importFrom<T>(dist: string, path: string): Promise<T> {
  return (await import(pathToFileURL(join(dist, path)).href)) as T
}

/** A program of the benchmark, of that build. */
export function benchProgram({ dist }: Build, name: string): string {
  return join(dist, BENCH, `${name}.js`)
}

/** Arguments of node that start the parser of a build. */
export async function parserCommand({ dist }: Build, paths: StatePaths): Promise<string[]> {
  const { childCommand } = await importFrom<typeof import('../supervising/index.ts')>(
    dist,
    'scripts/supervising/index.js',
  )
  return childCommand('parser', paths)
}
