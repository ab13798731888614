import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersinkError, hasCode, toError } from '../shared/errors.ts'
import { isThere } from '../shared/looks.ts'
import type { StatePaths } from '../shared/paths.ts'
import { generatedName } from './names.ts'
import { parseGeneratorState } from './state-format.ts'
import type { GeneratorState, PendingFile, Run } from './state-shape.ts'

/**
 * The state at `path` (`StatePaths.generatorState`), or undefined when there is none yet.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT when the file is not what a generator wrote.
 */
export async function readGeneratorState(path: string): Promise<GeneratorState | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    return parseGeneratorState(text)
  } catch (cause) {
    throw new CountersinkError(
      'STATE_DIRECTORY_UNFIT',
      `the generator's state ${path} cannot be used: ${toError(cause).message}`,
      { advice: 'Put it back from a copy, or remove it to begin a new stream.' },
    )
  }
}

/**
 * What the stream and its latest run have published up to now, for whoever looks at the state of a
 * generator that may have died between publishing a file and counting it. Undefined before the
 * first start.
 *
 * @throws CountersinkError STATE_DIRECTORY_UNFIT as `readGeneratorState`.
 */
export async function readPublished(
  paths: StatePaths,
): Promise<Pick<GeneratorState, 'stream' | 'control' | 'run' | 'earlier'> | undefined> {
  const state = await readGeneratorState(paths.generatorState)
  if (state?.pending == null || standsInTmp(paths, state.pending)) return state
  return withPendingCounted(state)
}

/** The names of a run's published files, in order. */
export function* runNames(stream: string, run: Run): Generator<string> {
  for (let i = 0; i < run.published; i += 1) yield generatedName(stream, run.firstNumber + i)
}

/** The state after the pending file was found in, or brought into, the inbox. */
export function withPendingCounted(state: GeneratorState): GeneratorState {
  const { pending, control, run } = state
  if (pending === null) return state
  return {
    ...state,
    pending: null,
    control: {
      files: control.files + 1,
      bytes: control.bytes + pending.sizeBytes,
      lines: control.lines + pending.lines,
      amount: control.amount + pending.amount,
    },
    run: run && { ...run, published: run.published + 1 },
  }
}

/** Whether a pending file has not been renamed into the inbox yet. */
export function standsInTmp(paths: StatePaths, pending: PendingFile): boolean {
  return isThere(join(paths.generatorTmp, pending.tmp))
}
