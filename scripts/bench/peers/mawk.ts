import type { KnownFile } from '../data/make-file.ts'
import { runProgram } from '../programs.ts'
import { mustEqual } from '../row.ts'
import type { Workspace } from '../workspace.ts'

/** Its sums are doubles; those of the benchmark's files are whole numbers below 2^53, so exact. */
const PROGRAM = '{ s[$1] += $2; t += $2 } END { for (k in s) n++; printf "%d %.0f", n, t }'

/** Seconds of mawk adding up the file per consumer; undefined when it is not installed. */
export async function mawkSeconds(
  workspace: Workspace,
  file: KnownFile,
): Promise<number | undefined> {
  const ended = await runProgram(workspace, 'mawk', [PROGRAM, file.path])
  if (ended === undefined) return undefined
  if (ended.code !== 0) throw new Error(`mawk ended with ${ended.code}: ${ended.stderr}`)
  mustEqual('what mawk added up', ended.stdout.trim(), `${file.ids} ${file.amount}`)
  return ended.seconds
}
